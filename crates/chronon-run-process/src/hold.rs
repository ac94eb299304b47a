//! A kept host as this process uses it.

use std::{
    io::{self, BufReader, Write},
    net::TcpStream,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chronon_run_core::event::ProcessId;

use crate::{
    Detached, Exit, Group, Stop,
    identity::identify,
    is_alive,
    protocol::{Address, copy},
};

/// How long a host may take to answer that it can be used.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// A kept host as this process uses it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: ProcessId,
    pub(crate) group: Group,
    /// If this process started it.
    pub(crate) started: Option<Detached>,
    /// What a connection that only keeps it says.
    pub(crate) claim: Vec<(String, String)>,
    pub(crate) connection: Mutex<Option<TcpStream>>,
}

impl Kept {
    pub(crate) fn of(id: ProcessId, started: Option<Detached>, claim: &[(String, String)]) -> Self {
        Self {
            id,
            group: Group::new(id),
            started,
            claim: claim.to_vec(),
            connection: Mutex::default(),
        }
    }

    pub(crate) fn found(address: &Address, claim: &[(String, String)]) -> Self {
        Self::of(identify(address.pid), None, claim)
    }

    /// Keeps the host for as long as this value lives; whether it fits.
    pub(crate) fn hold(&self, address: &Address) -> io::Result<bool> {
        let mut connection = self.connection();
        if connection.is_some() {
            return Ok(true);
        }
        let mut fields = vec![field("ask", "hold")];
        fields.extend_from_slice(&self.claim);
        let (stream, fits) = ask(address, &fields, &mut io::sink())?;
        *connection = Some(stream).filter(|_| fits);
        Ok(fits)
    }

    /// Says that this command is over and the host may stay; not if the command is being stopped.
    pub(crate) fn leave(&self, address: Option<&Address>) {
        if Stop::of_process().reason().is_some() {
            if self.started.is_some() && !self.is_held() {
                self.group.terminate();
            }
            return;
        }
        // One that was started and not used is told, too; one that does not listen yet ends with this process.
        let held = address.is_some_and(|address| self.hold(address).unwrap_or(false));
        if let (true, Some(mut connection)) = (held, self.connection().take()) {
            // If it does not arrive, the host ends.
            let _ = connection.write_all(b"b");
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.connection().is_some()
    }

    fn connection(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_exited(&self) -> bool {
        !is_alive(self.id)
    }

    pub(crate) fn group(&self) -> Group {
        self.group.clone()
    }

    /// How it ended. The system tells only its parent: of another command's host only the fact is known.
    pub(crate) fn exit(&self) -> Exit {
        let own = self.started.as_ref().and_then(|own| own.exit().ok()?);
        own.unwrap_or(Exit::Code(1))
    }
}

/// Sends `fields` and reads the answer: the connection, which stays open, and whether it was yes.
pub(crate) fn ask(
    address: &Address,
    fields: &[(String, String)],
    says: &mut impl io::Write,
) -> io::Result<(TcpStream, bool)> {
    let stream = address.send(fields)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let answer = copy(BufReader::new(&stream), says).map_err(io::Error::other)?;
    let fits = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((stream, fits))
}

pub(crate) fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
