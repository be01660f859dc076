//! Results, on standard output.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::Color;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    color: Color,
}

impl Output {
    /// Output to standard output.
    pub fn new(json: bool, color: Color) -> Output {
        Output { json, color }
    }

    /// Whether colours are wanted.
    pub fn is_colored(&self) -> bool {
        self.color.applies(self.is_terminal())
    }

    /// Whether results are to be JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person reads it on a terminal.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes text and a line break.
    ///
    /// # Errors
    /// Where standard output is closed.
    pub fn text(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.trim_end_matches('\n').as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Writes a value as JSON on one line.
    ///
    /// # Errors
    /// Where standard output is closed.
    pub fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        self.text(&serde_json::to_string(value)?)
    }

    /// Writes a value as JSON: laid out for a person on a terminal, on one line for a program.
    ///
    /// # Errors
    /// Where standard output is closed.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        if self.is_terminal() {
            self.text(&serde_json::to_string_pretty(value)?)
        } else {
            self.json_line(value)
        }
    }

    /// Clears the screen, where there is one.
    ///
    /// # Errors
    /// Where standard output is closed.
    pub fn clear(&self) -> io::Result<()> {
        // ECMA-48: cursor to the first cell, then erase the display.
        if self.is_terminal() {
            io::stdout().write_all(b"\x1b[H\x1b[2J")
        } else {
            Ok(())
        }
    }
}
