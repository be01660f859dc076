//! Lays the model out as tables that an instance can use as they are: nothing is parsed, sorted or hashed at run time.
//!
//! | file in `OUT_DIR` | content |
//! |---|---|
//! | `rows.bin` | the int8 vectors, one WordPiece after the other |
//! | `weights.bin` | f32 a WordPiece: its inverse document frequency times the scale of its row |
//! | `mean.bin` | f32 a dimension |
//! | `pieces.bin`, `piece_ends.bin` | the vocabulary's text, and u32 a WordPiece: where it ends |
//! | `slots.bin` | a hash table with linear probing over the vocabulary: u16 tag, u16 id; all ones where empty |
//!
//! Every number is little-endian.

#[path = "src/fnv.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod fnv;

use std::error::Error;
use std::fs;
use std::path::Path;

const DIMENSIONS: usize = 256;
const SLOTS: usize = 1 << 16;

fn main() -> Result<(), Box<dyn Error>> {
    for input in ["data/model.safetensors", "data/vocab.txt", "src/fnv.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = std::env::var("OUT_DIR")?;
    let out = Path::new(&out);

    let vocabulary = fs::read_to_string("data/vocab.txt")?;
    let pieces: Vec<&str> = vocabulary.lines().collect();
    let model = fs::read("data/model.safetensors")?;
    let rows = tensor(&model, "embeddings", "I8", &[pieces.len(), DIMENSIONS])?;
    let scales = floats(tensor(&model, "scales", "F32", &[pieces.len()])?);
    let idf = floats(tensor(&model, "idf", "F32", &[pieces.len()])?);
    let mean = tensor(&model, "mean", "F32", &[DIMENSIONS])?;
    let weights: Vec<u8> = idf
        .zip(scales)
        .flat_map(|(idf, scale)| (idf * scale).to_le_bytes())
        .collect();

    fs::write(out.join("rows.bin"), rows)?;
    fs::write(out.join("weights.bin"), weights)?;
    fs::write(out.join("mean.bin"), mean)?;
    write_vocabulary(&pieces, out)
}

/// The bytes of one tensor, checked for its type and shape (https://github.com/huggingface/safetensors#format).
fn tensor<'a>(model: &'a [u8], name: &str, dtype: &str, shape: &[usize]) -> Result<&'a [u8], Box<dyn Error>> {
    let (length, rest) = model.split_first_chunk().ok_or("the model is cut short")?;
    let (header, data) = rest
        .split_at_checked(usize::try_from(u64::from_le_bytes(*length))?)
        .ok_or("the model's header is cut short")?;
    let header: serde_json::Value = serde_json::from_slice(header)?;
    let entry = &header[name];
    if entry["dtype"] != dtype || entry["shape"] != serde_json::json!(shape) {
        return Err(format!("tensor {name} is {entry}, not {dtype} {shape:?}").into());
    }
    let [start, end]: [usize; 2] = serde_json::from_value(entry["data_offsets"].clone())?;
    data.get(start..end)
        .ok_or_else(|| format!("tensor {name} is cut short").into())
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

fn write_vocabulary(pieces: &[&str], out: &Path) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    let mut ends = Vec::new();
    let mut slots = vec![u32::MAX; SLOTS];
    for (id, piece) in pieces.iter().enumerate() {
        text.push_str(piece);
        ends.extend(u32::try_from(text.len())?.to_le_bytes());

        let (start, tag) = fnv::slot_and_tag(fnv::hash(piece.as_bytes()));
        let free = (0..SLOTS)
            .map(|step| (usize::from(start) + step) % SLOTS)
            .find(|slot| slots[*slot] == u32::MAX)
            .ok_or("the vocabulary is larger than the table")?;
        slots[free] = u32::from(tag) << 16 | u32::from(u16::try_from(id)?);
    }
    fs::write(out.join("pieces.bin"), text)?;
    fs::write(out.join("piece_ends.bin"), ends)?;
    fs::write(
        out.join("slots.bin"),
        slots.iter().flat_map(|slot| slot.to_le_bytes()).collect::<Vec<u8>>(),
    )?;
    Ok(())
}
