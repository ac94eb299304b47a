//! Parts of logs: a page never holds more than a piece of one, however long the log is.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anstream::adapter::strip_str;
use chronon_run_core::{secret::LogMask, shown::shown_log};

/// Bytes of a piece.
pub(crate) const PIECE: u64 = 48 << 10;
/// Bytes that are shown of one line.
const LINE: usize = 4 << 10;
/// Lines that a search finds at most.
pub(crate) const FOUND: usize = 200;

/// A piece of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The bytes from which on it is, and after which it ends.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Bytes of the whole log.
    pub(crate) size: u64,
    pub(crate) lines: Vec<String>,
}

/// A line that a search found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Where the line begins.
    pub(crate) at: u64,
    /// Its number, from 1.
    pub(crate) number: u64,
    pub(crate) line: String,
}

/// The file of a log, if it is one below `folder`. Links that lead elsewhere are not followed.
pub(crate) fn allowed(folder: &Path, log: &Path) -> io::Result<PathBuf> {
    let folder = folder.canonicalize()?;
    let log = log.canonicalize()?;
    match log.starts_with(&folder) && log.is_file() {
        true => Ok(log),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not a log of this workspace",
        )),
    }
}

/// A line without escape sequences, carriage returns and characters that cannot be seen.
pub(crate) fn clean(line: &str) -> String {
    let plain = strip_str(line).to_string();
    shown_log(plain.trim_end_matches(['\n', '\r']))
}

/// A text of several lines, each [`clean`].
pub(crate) fn clean_text(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// A piece from `from` on, or the last one. Begins and ends with whole lines where lines are not
/// longer than a piece.
pub(crate) fn piece(log: &Path, from: Option<u64>) -> io::Result<Piece> {
    let mut file = File::open(log)?;
    let size = file.metadata()?.len();
    let from = from.unwrap_or(size.saturating_sub(PIECE)).min(size);
    // From one byte before, so that a line that begins here is known to be whole.
    file.seek(SeekFrom::Start(from.saturating_sub(1)))?;
    let mut bytes = Vec::new();
    let wanted = PIECE + u64::from(from > 0);
    file.take(wanted).read_to_end(&mut bytes)?;
    let (begin, bytes) = match from {
        0 => (0, bytes.as_slice()),
        from => match memchr::memchr(b'\n', &bytes) {
            Some(end) if end + 1 < bytes.len() => (from + end as u64, &bytes[end + 1..]),
            _ => (from, bytes.get(1..).unwrap_or_default()),
        },
    };
    let to = begin + bytes.len() as u64;
    let whole = match memchr::memrchr(b'\n', bytes) {
        Some(end) if to < size => &bytes[..=end],
        _ => bytes,
    };
    let text = String::from_utf8_lossy(whole);
    Ok(Piece {
        from: begin,
        to: begin + whole.len() as u64,
        size,
        lines: LogMask::default()
            .mask(&text)
            .lines()
            .map(shortened)
            .collect(),
    })
}

fn shortened(line: &str) -> String {
    let line = clean(line);
    match line.char_indices().nth(LINE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The address of Spark's own page, if the beginning of the log tells it.
pub(crate) fn spark_page(log: &Path) -> io::Result<Option<String>> {
    let lines = piece(log, Some(0))?.lines;
    Ok(lines.iter().rev().find_map(|line| address(line)))
}

/// `http://host:4040` of a line in which Spark or YARN tells where the page of an application is.
fn address(line: &str) -> Option<String> {
    const TELLING: [&str; 4] = [
        "started SparkUI",
        "Started SparkUI",
        "Spark Web UI",
        "racking URL:",
    ];
    TELLING.iter().find(|words| line.contains(*words))?;
    let from = line.find("http://").or_else(|| line.find("https://"))?;
    let address = line[from..].split_whitespace().next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/[]%~".contains(c);
    address.chars().all(plain).then(|| address.to_owned())
}

/// The lines that contain `wanted`, whatever their case, and whether there are more. Reads the whole log
/// once, a line at a time.
pub(crate) fn search(log: &Path, wanted: &str) -> io::Result<(Vec<Hit>, bool)> {
    let wanted = wanted.to_lowercase();
    let mut reader = BufReader::with_capacity(1 << 16, File::open(log)?);
    let mut hits = Vec::new();
    let (mut at, mut number) = (0, 0);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        // A line without an end is read in parts, so that it does not fill the memory.
        let read = (&mut reader).take(PIECE).read_until(b'\n', &mut bytes)? as u64;
        if read == 0 {
            return Ok((hits, false));
        }
        let text: Cow<'_, str> = String::from_utf8_lossy(&bytes);
        number += 1;
        if clean(&text).to_lowercase().contains(&wanted) {
            if hits.len() == FOUND {
                return Ok((hits, true));
            }
            let line = shortened(&text);
            hits.push(Hit { at, number, line });
        }
        at += read;
    }
}

/// Which lines are those that an attempt's message quotes. The last one matters.
pub(crate) fn that_matter(lines: &[String], message: &str) -> Vec<usize> {
    let quoted: Vec<String> = message
        .lines()
        .map(|line| clean(line).trim().trim_end_matches('…').to_owned())
        .filter(|line| line.len() >= 8)
        .collect();
    let is_quoted = |line: &str| {
        let line = line.trim();
        let part = |quoted: &String| {
            line.contains(quoted.as_str()) || line.len() >= 16 && quoted.contains(line)
        };
        quoted.iter().any(part)
    };
    let found = lines.iter().enumerate();
    found
        .filter(|(_, line)| is_quoted(line))
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn pieces_are_whole_lines_and_together_the_log() {
        let all: Vec<String> = (0..20_000).map(|n| format!("line {n}")).collect();
        let (_folder, path) = file((all.join("\n") + "\n").as_bytes());
        let last = piece(&path, None).unwrap();
        assert_eq!(last.lines.last().unwrap(), "line 19999");
        assert!(last.lines[0].starts_with("line "));
        assert_eq!(last.to, last.size);
        let (mut at, mut found) = (0, Vec::new());
        while at < last.size {
            let part = piece(&path, Some(at)).unwrap();
            assert!(part.to > at);
            found.extend(part.lines);
            at = part.to;
        }
        assert_eq!(found, all);
    }

    #[test]
    fn a_log_without_line_ends_is_read_in_pieces() {
        let (_folder, path) = file(&vec![b'x'; 300_000]);
        let last = piece(&path, None).unwrap();
        assert_eq!(last.to, 300_000);
        assert_eq!(last.lines.len(), 1);
        assert!(last.lines[0].len() < 5_000);
        assert_eq!(search(&path, "xx").unwrap().0.len(), 7);
        assert_eq!(
            piece(&path, Some(u64::MAX)).unwrap().lines,
            Vec::<String>::new()
        );
    }

    #[test]
    fn escape_sequences_are_removed() {
        let (_folder, path) =
            file(b"\x1b[31mERROR\x1b[0m: \x1b]0;title\x07 <script>\xff\r\n\x1b[2Jplain\n");
        let lines = piece(&path, None).unwrap().lines;
        assert_eq!(lines, ["ERROR:  <script>\u{fffd}", "plain"]);
        let (hits, more) = search(&path, "error: ").unwrap();
        assert_eq!((hits[0].at, hits[0].number, more), (0, 1, false));
    }

    #[test]
    fn only_files_below_the_folder_are_logs() {
        let (folder, path) = file(b"secret");
        let runs = folder.path().join("runs");
        fs::create_dir(&runs).unwrap();
        std::os::unix::fs::symlink(&path, runs.join("link.log")).unwrap();
        for outside in ["../a.log", "link.log", "nothing.log", "."] {
            assert!(allowed(&runs, &runs.join(outside)).is_err(), "{outside}");
        }
        fs::write(runs.join("b.log"), "").unwrap();
        assert!(allowed(&runs, &runs.join("b.log")).is_ok());
    }

    #[test]
    fn where_spark_has_its_own_page_is_read_from_the_log() {
        let told = [
            "INFO SparkUI: Bound SparkUI to 0.0.0.0, and started SparkUI at http://host:4040",
            "Spark Web UI available at http://host:4041",
            "\t tracking URL: https://rm:8090/proxy/application_1_2/",
            "see http://host:1 for help",
            "Spark Web UI available at http://host\"onclick=x",
            "Spark Web UI available at javascript:alert(1)",
        ];
        let found: Vec<Option<String>> = told.iter().map(|line| address(line)).collect();
        let wanted = [
            Some("http://host:4040"),
            Some("http://host:4041"),
            Some("https://rm:8090/proxy/application_1_2/"),
            None,
            None,
            None,
        ];
        assert_eq!(found, wanted.map(|one| one.map(str::to_owned)));
        let (_folder, path) = file(format!("{}\n", told[0]).as_bytes());
        assert!(spark_page(&path).unwrap().is_some());
    }

    #[test]
    fn the_line_that_the_message_quotes_matters() {
        let lines =
            ["a", "Error in query: Table not found: x", "  at org.apache"].map(str::to_owned);
        let found = that_matter(&lines, "Error in query: Table not found: x\nsee the log");
        assert_eq!(found, [1]);
        assert!(that_matter(&lines, "").is_empty());
    }
}
