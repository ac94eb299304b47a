//! One blocking Thrift call on a connection that is then kept open.
//!
//! The embedded metastore ends when it has no connection left, so a user of it must hold one of
//! its own; the pooling client does not promise that. Hence these few lines of the binary protocol.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// `get_config_value` shows only names that begin so.
const TOKEN_KEY: &str = "hive.chronon.run.token";
const CALL: u32 = 0x8001_0001;
const REPLY: u32 = 0x8001_0002;
const STRING: u8 = 11;
/// No answer of ours is longer; more means that something else listens there.
const LONGEST: u32 = 4096;

/// Connects to the loopback port and asks whose metastore it is.
pub(crate) fn token(port: u16, timeout: Duration) -> io::Result<(TcpStream, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(&request())?;
    let token = reply(&mut stream)?;
    Ok((stream, token))
}

/// `get_config_value(1: TOKEN_KEY, 2: "")`, strict binary protocol, no framing.
fn request() -> Vec<u8> {
    let mut bytes = CALL.to_be_bytes().to_vec();
    put_text(&mut bytes, "get_config_value");
    bytes.extend(1_u32.to_be_bytes());
    for (id, value) in [(1_u16, TOKEN_KEY), (2, "")] {
        bytes.push(STRING);
        bytes.extend(id.to_be_bytes());
        put_text(&mut bytes, value);
    }
    bytes.push(0);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// The string in field 0 of the reply.
fn reply(stream: &mut impl Read) -> io::Result<String> {
    if take_u32(stream)? != REPLY {
        return Err(foreign());
    }
    take_text(stream)?;
    take_u32(stream)?;
    let mut field = [0; 3];
    stream.read_exact(&mut field)?;
    if field != [STRING, 0, 0] {
        return Err(foreign());
    }
    let value = take_text(stream)?;
    stream.read_exact(&mut [0])?;
    Ok(value)
}

fn take_u32(stream: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn take_text(stream: &mut impl Read) -> io::Result<String> {
    let length = take_u32(stream)?;
    if length > LONGEST {
        return Err(foreign());
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| foreign())
}

fn foreign() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "another program answers on this port",
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    fn answer(value: &str) -> Vec<u8> {
        let mut bytes = REPLY.to_be_bytes().to_vec();
        put_text(&mut bytes, "get_config_value");
        bytes.extend(1_u32.to_be_bytes());
        bytes.extend([STRING, 0, 0]);
        put_text(&mut bytes, value);
        bytes.push(0);
        bytes
    }

    #[test]
    fn reads_the_answer() {
        assert_eq!(reply(&mut answer("t1").as_slice()).unwrap(), "t1");
    }

    #[test]
    fn another_program_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .unwrap();
        });
        let error = token(port, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        server.join().unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = reply(&mut bytes.as_slice());
        }
    }
}
