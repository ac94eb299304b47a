//! Answers of a metastore are checked while they arrive, before they are decoded: lengths, depth and size
//! are bounded and texts are UTF-8, so that no server can take the process's memory or stack.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use volo::net::ready::AsyncReady;
use volo_thrift::codec::{DefaultMakeCodec, MakeCodec, default::thrift::MakeThriftCodec};

/// How the error of an answer that is not taken begins.
pub(crate) const NOT_VALID: &str = "the answer is not valid";
/// Bytes of one answer.
const MOST_BYTES: u64 = 512 << 20;
/// Bytes of one text.
const MOST_TEXT: u64 = 64 << 20;
/// Elements of all lists that are open at one time.
const MOST_ELEMENTS: u64 = 4_000_000;
/// Structures within each other. Hive's own have less than ten.
const DEEPEST: usize = 48;

/// The buffered codec, behind the checks.
#[derive(Clone)]
pub(crate) struct CheckedCodec(DefaultMakeCodec<MakeThriftCodec>);

impl CheckedCodec {
    pub(crate) fn new() -> Self {
        Self(DefaultMakeCodec::buffered())
    }
}

impl<R, W> MakeCodec<R, W> for CheckedCodec
where
    R: AsyncRead + AsyncReady + Unpin + Send + Sync + 'static,
    W: AsyncWrite + AsyncReady + Unpin + Send + Sync + 'static,
{
    type Encoder = <DefaultMakeCodec<MakeThriftCodec> as MakeCodec<Checked<R>, W>>::Encoder;
    type Decoder = <DefaultMakeCodec<MakeThriftCodec> as MakeCodec<Checked<R>, W>>::Decoder;

    fn make_codec(&self, reader: R, writer: W) -> (Self::Encoder, Self::Decoder) {
        let reader = Checked {
            inner: reader,
            answer: Answer::default(),
        };
        self.0.make_codec(reader, writer)
    }
}

/// A reader that hands on only what was found valid.
pub(crate) struct Checked<R> {
    inner: R,
    answer: Answer,
}

impl<R: AsyncRead + Unpin> AsyncRead for Checked<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let found = self.answer.feed(&buffer.filled()[before..]);
        if let Err(why) = found {
            buffer.set_filled(before);
            let error = io::Error::new(io::ErrorKind::InvalidData, format!("{NOT_VALID}: {why}"));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncReady + Sync> AsyncReady for Checked<R> {
    fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> + Send {
        self.inner.ready(interest)
    }
}

/// What is open.
#[derive(Debug)]
enum Open {
    Struct,
    /// A list, set or map: how many values are to come, and of which kinds in turn.
    Values {
        left: u64,
        kinds: [u8; 2],
    },
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Next {
    #[default]
    Version,
    NameLength,
    Name,
    Sequence,
    Field,
    FieldId,
    Fixed,
    TextLength,
    Text,
    ListHead,
    MapHead,
}

impl Next {
    /// Bytes that are read as a whole; none for what is passed over.
    const fn bytes(self) -> usize {
        match self {
            Self::Field => 1,
            Self::FieldId => 2,
            Self::Version | Self::NameLength | Self::Sequence | Self::TextLength => 4,
            Self::ListHead => 5,
            Self::MapHead => 6,
            Self::Name | Self::Fixed | Self::Text => 0,
        }
    }
}

/// The state of one connection: messages of Thrift's binary protocol, one after another.
#[derive(Debug, Default)]
struct Answer {
    open: Vec<Open>,
    next: Next,
    /// The kind of the field whose number is read.
    kind: u8,
    head: Vec<u8>,
    /// Bytes to pass over.
    left: u64,
    /// The begun character of a text.
    character: Vec<u8>,
    bytes: u64,
    elements: u64,
}

impl Answer {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = rest.len();
            match self.next.bytes() {
                0 => self.pass(&mut rest)?,
                wanted => {
                    let taken = (wanted - self.head.len()).min(rest.len());
                    self.head.extend_from_slice(&rest[..taken]);
                    rest = &rest[taken..];
                    if self.head.len() == wanted {
                        let head = std::mem::take(&mut self.head);
                        self.read(&head)?;
                    }
                }
            }
            self.bytes += (before - rest.len()) as u64;
            if self.bytes > MOST_BYTES {
                return Err(format!("it has more than {MOST_BYTES} bytes"));
            }
            if self.next == Next::Version && self.head.is_empty() {
                self.bytes = 0;
            }
        }
        Ok(())
    }

    /// Passes over a name, a number or a text.
    fn pass(&mut self, rest: &mut &[u8]) -> Result<(), String> {
        let taken = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        let (passed, after) = rest.split_at(taken);
        if self.next != Next::Fixed {
            self.check_text(passed)?;
        }
        *rest = after;
        self.left -= taken as u64;
        if self.left > 0 {
            return Ok(());
        }
        if !self.character.is_empty() {
            return Err("a text is not UTF-8".to_owned());
        }
        self.passed()
    }

    /// What was to be passed over is over.
    fn passed(&mut self) -> Result<(), String> {
        match self.next {
            Next::Name => {
                self.next = Next::Sequence;
                Ok(())
            }
            _ => self.value_ended(),
        }
    }

    fn check_text(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut text = std::mem::take(&mut self.character);
        text.extend_from_slice(bytes);
        match std::str::from_utf8(&text) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.character = text.split_off(error.valid_up_to());
                Ok(())
            }
            Err(_) => Err("a text is not UTF-8".to_owned()),
        }
    }

    fn read(&mut self, head: &[u8]) -> Result<(), String> {
        match self.next {
            // Strict: a version before the name's length. Else the length itself.
            Next::Version if head.first() == Some(&0x80) => self.next = Next::NameLength,
            Next::Version | Next::NameLength => {
                let length = number(head)?;
                self.pass_over(Next::Name, length)?;
            }
            Next::Sequence => self.enter(Open::Struct)?,
            Next::Field if head == [0] => {
                self.open.pop();
                self.value_ended()?;
            }
            Next::Field => {
                self.kind = head.first().copied().unwrap_or_default();
                self.next = Next::FieldId;
            }
            Next::FieldId => self.begin(self.kind)?,
            Next::TextLength => {
                let length = number(head)?;
                self.pass_over(Next::Text, length)?;
            }
            Next::ListHead => {
                let (kind, count) = (head[0], number(&head[1..])?);
                self.enter_values(count, [kind, kind])?;
            }
            Next::MapHead => {
                let (kinds, count) = ([head[0], head[1]], number(&head[2..])?);
                self.enter_values(count * 2, kinds)?;
            }
            Next::Name | Next::Fixed | Next::Text => {}
        }
        Ok(())
    }

    fn pass_over(&mut self, next: Next, length: u64) -> Result<(), String> {
        if length > MOST_TEXT {
            return Err(format!("a text of it has {length} bytes"));
        }
        (self.next, self.left) = (next, length);
        match length {
            0 => self.passed(),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(format!(
                "it has more than {DEEPEST} structures within each other"
            ));
        }
        self.open.push(open);
        self.next = Next::Field;
        Ok(())
    }

    fn enter_values(&mut self, count: u64, kinds: [u8; 2]) -> Result<(), String> {
        self.elements += count;
        if self.elements > MOST_ELEMENTS {
            return Err(format!("a list of it has {count} elements"));
        }
        self.enter(Open::Values { left: count, kinds })?;
        self.value_ended()
    }

    /// A value begins.
    fn begin(&mut self, kind: u8) -> Result<(), String> {
        let fixed = match kind {
            2 | 3 => 1,
            6 => 2,
            8 => 4,
            4 | 10 => 8,
            11 => {
                self.next = Next::TextLength;
                return Ok(());
            }
            12 => return self.enter(Open::Struct),
            13 => {
                self.next = Next::MapHead;
                return Ok(());
            }
            14 | 15 => {
                self.next = Next::ListHead;
                return Ok(());
            }
            other => return Err(format!("there is no kind of value {other}")),
        };
        self.pass_over(Next::Fixed, fixed)
    }

    /// A value is over: what follows depends on what is open.
    fn value_ended(&mut self) -> Result<(), String> {
        loop {
            match self.open.last_mut() {
                None => {
                    self.next = Next::Version;
                    self.elements = 0;
                    return Ok(());
                }
                Some(Open::Struct) => {
                    self.next = Next::Field;
                    return Ok(());
                }
                Some(Open::Values { left: 0, .. }) => {
                    self.open.pop();
                }
                Some(Open::Values { left, kinds }) => {
                    *left -= 1;
                    self.elements = self.elements.saturating_sub(1);
                    // Of a map the keys have even numbers before them.
                    let kind = kinds[usize::from(*left % 2 == 0)];
                    return self.begin(kind);
                }
            }
        }
    }
}

/// A length: no negative number.
fn number(bytes: &[u8]) -> Result<u64, String> {
    let bytes: [u8; 4] = bytes.try_into().map_err(|_| "it is cut off".to_owned())?;
    u64::try_from(i32::from_be_bytes(bytes)).map_err(|_| "a length of it is negative".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reply with these fields, without the end.
    fn reply(fields: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 1, 0, 2];
        bytes.extend([0, 0, 0, 3]);
        bytes.extend(b"get");
        bytes.extend([0, 0, 0, 1]);
        bytes.extend(fields);
        bytes
    }

    fn fed(bytes: &[u8]) -> Result<Answer, String> {
        let mut answer = Answer::default();
        answer.feed(bytes)?;
        Ok(answer)
    }

    #[test]
    fn a_whole_reply_is_taken_in_any_pieces() {
        let fields = [
            &[
                15, 0, 0, 11, 0, 0, 0, 2, 0, 0, 0, 1, b'a', 0, 0, 0, 2, 0xc3, 0xa4,
            ][..],
            &[13, 0, 1, 11, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7],
            &[12, 0, 2, 2, 0, 1, 1, 0],
            &[15, 0, 3, 12, 0, 0, 0, 0],
            &[0],
        ]
        .concat();
        let two = [reply(&fields), reply(&[0])].concat();
        for size in 1..two.len() {
            let mut answer = Answer::default();
            for piece in two.chunks(size) {
                answer.feed(piece).unwrap();
            }
            assert_eq!(
                (answer.next, answer.open.len(), answer.bytes),
                (Next::Version, 0, 0)
            );
        }
    }

    #[test]
    fn lengths_depth_and_texts_are_bounded() {
        let refused = |fields: &[u8]| fed(&reply(fields)).unwrap_err();
        assert!(refused(&[15, 0, 0, 12, 0x7f, 0xff, 0xff, 0xff]).contains("2147483647"));
        assert!(refused(&[15, 0, 0, 12, 0xff, 0xff, 0xff, 0xff]).contains("negative"));
        assert!(refused(&[11, 0, 0, 0x7f, 0, 0, 0]).contains("bytes"));
        assert!(refused(&[11, 0, 0, 0, 0, 0, 1, 0xff]).contains("UTF-8"));
        assert!(refused(&[11, 0, 0, 0, 0, 0, 1, 0xc3]).contains("UTF-8"));
        assert!(refused(&[9, 0, 0]).contains("kind"));
        assert!(refused(&[12, 0, 1].repeat(100)).contains("within"));
        let lists = [&[15, 0, 0][..], &[15, 0, 0, 0, 1].repeat(100)].concat();
        assert!(refused(&lists).contains("within"));
    }

    #[test]
    fn an_answer_is_no_longer_than_it_may_be() {
        let mut answer = Answer::default();
        answer.feed(&reply(&[])).unwrap();
        let field = [&[11, 0, 1, 1, 0, 0, 0][..], &vec![b'x'; 1 << 24]].concat();
        let refused = (0..40).find_map(|_| answer.feed(&field).err());
        assert!(refused.unwrap().contains("more than"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(answer) = fed(&reply(&bytes)) {
                prop_assert!(answer.open.len() <= DEEPEST);
                prop_assert!(answer.elements <= MOST_ELEMENTS);
            }
        }

        #[test]
        fn kinds_of_values_in_any_order(kinds in prop::collection::vec(
            prop::sample::select(vec![0_u8, 2, 3, 6, 8, 10, 11, 12, 13, 14, 15]), 0..300
        )) {
            let _ = fed(&reply(&kinds));
        }
    }
}
