//! A writer that may lose its reader.

use std::io::Write;

use chronon_run_core::shown::shown;

/// Writes until the first failure, e.g. a closed pipe, and is silent from then on.
#[derive(Debug)]
pub struct Output<W> {
    writer: Option<W>,
}

impl<W: Write> Output<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        let writer = Some(writer);
        Self { writer }
    }

    /// Writes `line` and a line end, and flushes.
    pub fn line(&mut self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// Writes `text`, without anything that a terminal would obey, and flushes.
    pub fn text(&mut self, text: &str) {
        let text = shown(text);
        let Some(writer) = &mut self.writer else {
            return;
        };
        let written = writer.write_all(text.as_bytes());
        if written.and_then(|()| writer.flush()).is_err() {
            self.writer = None;
        }
    }

    /// Whether everything so far was written.
    pub fn is_open(&self) -> bool {
        self.writer.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_closed_pipe_is_silence() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut output = Output::new(writer);
        output.line("lost");
        assert!(!output.is_open());
        output.line("not even tried");
    }
}
