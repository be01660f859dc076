//! Messages of AWS's event stream, made for tests.

use serde_json::Value;

/// A message of this kind (`event`, `exception`) and name.
pub fn event_stream(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":message-type", kind), (&*format!(":{kind}-type"), name)] {
        headers.push(u8::try_from(name.len()).unwrap_or_default());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = payload.to_string().into_bytes();
    let number = |number: usize| u32::try_from(number).unwrap_or_default().to_be_bytes();
    let mut message = [number(16 + headers.len() + payload.len()), number(headers.len())].concat();
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message.extend_from_slice(&headers);
    message.extend_from_slice(&payload);
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message
}

/// CRC-32, bit by bit, so that it is not the adapter's own that is asked.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}
