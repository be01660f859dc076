//! Server-sent events out of bytes that come in pieces of any size (WHATWG HTML, 9.2.6).
//!
//! A line ends with LF, CR LF or CR; an event ends with an empty line; several `data` lines are one text; lines that
//! begin with `:` are comments. The pieces may break anywhere, inside a character too.

use std::mem;

/// Longest event taken, in bytes. The longest seen carry a whole image in base64.
pub(crate) const MAX_EVENT: usize = 16 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty where there was none.
    pub name: String,
    /// The `data` lines.
    pub data: String,
}

/// An event longer than 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The reader's place in the stream.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was CR: an LF now belongs to it.
    after_cr: bool,
    /// A line was read, so that a byte-order mark is none any more.
    begun: bool,
    name: String,
    data: Option<String>,
}

impl Parser {
    /// Takes the next bytes; appends the events that are complete with them.
    ///
    /// # Errors
    /// [`TooLong`], after which the stream can't be read on.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        if mem::take(&mut self.after_cr) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            self.line.extend_from_slice(line);
            self.end_line(events);
            bytes = match rest {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.line.extend_from_slice(bytes);
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held > MAX_EVENT { Err(TooLong) } else { Ok(()) }
    }

    /// The event that was under way when the stream ended.
    ///
    /// The standard discards it; but some servers leave out the last empty line.
    pub fn finish(&mut self) -> Option<Event> {
        let mut events = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut events);
        }
        self.end_event(&mut events);
        events.pop()
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if mem::replace(&mut self.begun, true) {
            &line
        } else {
            line.trim_start_matches('\u{feff}')
        };
        if line.is_empty() {
            return self.end_event(events);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.name),
            // `id` and `retry` are for reconnecting, which is not ours to do; a comment's field is empty.
            _ => {}
        }
    }

    fn end_event(&mut self, events: &mut Vec<Event>) {
        let name = mem::take(&mut self.name);
        if let Some(data) = self.data.take() {
            events.push(Event { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every event of `text`, given in pieces of `size` bytes.
    fn read(text: &str, size: usize) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            parser.push(piece, &mut events).unwrap();
        }
        events.extend(parser.finish());
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn the_same_events_come_out_however_the_bytes_are_cut() {
        let text = "\u{feff}: welcome\r\n\r\nevent: delta\r\ndata: {\"a\":\r\ndata: \"größe 🦀\"}\r\n\r\n\
                    data:tight\n\nid: 7\nretry: 1\n\n: PROCESSING\n\ndata\n\ndata: x\r\rdata: [DONE]\n\n";
        let expected = [
            event("delta", "{\"a\":\n\"größe 🦀\"}"),
            event("", "tight"),
            event("", ""),
            event("", "x"),
            event("", "[DONE]"),
        ];
        for size in 1..=text.len() {
            assert_eq!(read(text, size), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_last_event_without_its_empty_line_is_not_lost() {
        assert_eq!(read("data: a\n\ndata: b", 3), [event("", "a"), event("", "b")]);
        assert_eq!(read("data: a\n\ndata: b\n", 3), [event("", "a"), event("", "b")]);
        assert_eq!(read("data: a\n\nevent: lonely\n", 3), [event("", "a")]);
    }

    #[test]
    fn a_name_does_not_leak_into_the_next_event() {
        assert_eq!(read("event: a\n\ndata: b\n\n", 64), [event("", "b")]);
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_without_bound() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let megabyte = vec![b'x'; 1 << 20];
        let taken = (0..32)
            .take_while(|_| parser.push(&megabyte, &mut events).is_ok())
            .count();
        assert_eq!(taken, 16);

        let mut parser = Parser::default();
        let line = [b"data: ", megabyte.as_slice(), b"\n"].concat();
        assert!((0..32).any(|_| parser.push(&line, &mut events).is_err()));
    }
}
