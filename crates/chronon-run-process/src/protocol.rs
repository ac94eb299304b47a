//! What a host is asked, and how it answers.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
};

use crate::SessionError;

/// The largest piece of output in one frame.
const LONGEST: usize = 64 << 20;

/// Where a host listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    port: u16,
    token: String,
    /// The number of its process; 0 where the system does not tell.
    pub(crate) pid: u32,
}

impl Address {
    /// What the state file at `path` says; `None` if there is none yet.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::read(&fs::read_to_string(path).ok()?)
    }

    /// `<port> <token> <pid>` and the end of the line.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        Some(Self {
            port: words.next()?.parse().ok()?,
            token: words.next()?.to_owned(),
            pid: words.next()?.parse().ok()?,
        })
    }

    /// A connection with this request.
    pub(crate) fn send(&self, fields: &[(String, String)]) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        (&stream).write_all(&request(&self.token, fields))?;
        Ok(stream)
    }
}

/// The bytes of a request: the token, the number of fields, the fields.
fn request(token: &str, fields: &[(String, String)]) -> Vec<u8> {
    let count = fields.len().to_string();
    let parts = fields.iter().flat_map(|(name, value)| [name, value]);
    let mut bytes = Vec::new();
    for part in [token, count.as_str()]
        .into_iter()
        .chain(parts.map(String::as_str))
    {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// Copies output until the last frame; `None` if the connection ends before.
pub(crate) fn copy(
    mut answers: impl Read,
    log: &mut impl Write,
) -> Result<Option<bool>, SessionError> {
    let mut head = [0_u8; 5];
    loop {
        if answers.read_exact(&mut head).is_err() {
            return Ok(None);
        }
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        match kind {
            b'k' => return Ok(Some(true)),
            b'f' => return Ok(Some(false)),
            b'o' if length <= LONGEST => {
                let mut output = vec![0; length];
                if answers.read_exact(&mut output).is_err() {
                    return Ok(None);
                }
                log.write_all(&output)
                    .map_err(SessionError::of("write the task's log"))?;
            }
            _ => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn output_is_copied_until_the_last_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = File::create(&path).unwrap();
        let frames = b"o\0\0\0\x03a\nbo\0\0\0\x01\nk\0\0\0\0";
        assert_eq!(copy(&frames[..], &mut log).unwrap(), Some(true));
        assert_eq!(copy(&b"f\0\0\0\0"[..], &mut log).unwrap(), Some(false));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\n");
    }

    #[test]
    fn an_answer_that_is_cut_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = File::create(folder.path().join("log")).unwrap();
        for cut in ["", "o\0\0", "o\0\0\0\x03a", "x\0\0\0\0"] {
            assert_eq!(copy(cut.as_bytes(), &mut log).unwrap(), None, "{cut:?}");
        }
    }

    #[test]
    fn a_request_is_made_of_frames() {
        let fields = [("a".to_owned(), "ü".to_owned())];
        let expected = b"\0\0\0\x01t\0\0\0\x011\0\0\0\x01a\0\0\0\x02\xc3\xbc";
        assert_eq!(request("t", &fields), expected);
    }
}
