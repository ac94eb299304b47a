//! An embedded metastore that is started again, at the same address, if it dies while it is used.

use std::{
    io::{self, Read},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{Embedded, Lease};

/// A [`Lease`] that is renewed: if the server dies (the system may end it when memory is short), a
/// thread starts it again at the same port, so that running jobs find it where it was.
#[derive(Debug)]
pub struct Watched {
    uri: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_over: AtomicBool,
    connection: Mutex<TcpStream>,
}

impl Embedded {
    /// Watches over the server of `lease` as long as the returned value lives. `report` gets a
    /// sentence about each death and what followed, on a thread of its own.
    ///
    /// # Errors
    /// If the lease's connection cannot be used by two threads.
    pub fn watch(
        self,
        lease: Lease,
        report: impl Fn(String) + Send + 'static,
    ) -> io::Result<Watched> {
        let (uri, port) = (lease.uri(), lease.port);
        let mut reader = reader(&lease.connection)?;
        let shared = Arc::new(Shared {
            is_over: AtomicBool::new(false),
            connection: Mutex::new(lease.connection),
        });
        let watched = Watched {
            uri,
            shared: Arc::clone(&shared),
        };
        let watch = move || {
            while wait_for_end(&mut reader) && !shared.is_over.load(Ordering::SeqCst) {
                report("the embedded metastore died; starting it again".to_owned());
                match self.rejoin(port).and_then(|lease| shared.renew(lease)) {
                    Ok(renewed) => reader = renewed,
                    Err(why) => return report(why),
                }
            }
        };
        thread::Builder::new()
            .name("metastore-watch".to_owned())
            .spawn(watch)?;
        Ok(watched)
    }

    /// Joins the server again, which must be at `port`: jobs know no other.
    fn rejoin(&self, port: u16) -> Result<Lease, String> {
        let lease = self.join().map_err(|error| error.to_string())?;
        if lease.port != port {
            return Err(format!(
                "the embedded metastore could not get port {port} back; jobs that use it will fail"
            ));
        }
        Ok(lease)
    }
}

impl Watched {
    /// `thrift://127.0.0.1:<port>`; the same after a restart.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let connection = self.shared.lock();
        // Ends the wait of the thread; a connection that is closed already has ended it.
        let _ = connection.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, TcpStream> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the connection of a new lease; what the thread waits on.
    fn renew(&self, lease: Lease) -> Result<TcpStream, String> {
        let reader = reader(&lease.connection).map_err(|error| error.to_string())?;
        let mut connection = self.lock();
        if self.is_over.load(Ordering::SeqCst) {
            // The drop has shut down the old connection: this one must end the wait, too.
            let _ = lease.connection.shutdown(Shutdown::Both);
        }
        *connection = lease.connection;
        Ok(reader)
    }
}

/// The connection for reading, without a time limit.
fn reader(connection: &TcpStream) -> io::Result<TcpStream> {
    let reader = connection.try_clone()?;
    reader.set_read_timeout(None)?;
    Ok(reader)
}

/// Waits until the connection ends. The server says nothing that was not asked for.
fn wait_for_end(reader: &mut TcpStream) -> bool {
    loop {
        match reader.read(&mut [0; 64]) {
            Ok(0) => return true,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return true,
            Ok(_) | Err(_) => {}
        }
    }
}
