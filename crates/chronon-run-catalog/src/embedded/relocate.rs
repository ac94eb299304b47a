//! Changes paths in the metastore's database after its workspace was moved or copied.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use chronon_run_process::Exit;

use super::{DATABASE, Embedded, POLL, Server, error::EmbeddedError, reason};

const SOURCE: &str = include_str!("Relocate.java");

impl Embedded {
    /// Changes the beginning of every path in the database, for each `(from, to)` in order. Waits
    /// for a server that still has the database; does nothing where there is none. A change that was
    /// applied before changes nothing.
    ///
    /// # Errors
    /// [`EmbeddedError`] if the directory cannot be used, or the database cannot be changed in time.
    pub fn relocate(&self, changes: &[(PathBuf, PathBuf)]) -> Result<(), EmbeddedError> {
        if changes.is_empty() || !self.directory.join(DATABASE).exists() {
            return Ok(());
        }
        let deadline = Instant::now() + self.start;
        let lock = loop {
            if let Some(lock) = self.try_lock()? {
                break lock;
            }
            if Instant::now() > deadline {
                return Err(self.give_up(None));
            }
            thread::sleep(POLL);
        };
        // It names the server of another folder, or one that is dead.
        let _ = fs::remove_file(self.state());
        self.write("Relocate.java", SOURCE)?;
        let text = |path: &Path| path.display().to_string();
        let mut arguments = vec![
            text(&self.directory.join("Relocate.java")),
            "Relocate".to_owned(),
            DATABASE.to_owned(),
        ];
        let paths = changes.iter().flat_map(|(from, to)| [from, to]);
        arguments.extend(paths.map(|path| text(path)));
        let server = self.start_java(lock, arguments)?;
        self.finish(server, deadline)
    }

    fn finish(&self, server: Server, deadline: Instant) -> Result<(), EmbeddedError> {
        loop {
            match server.process.exit() {
                Ok(Some(Exit::Code(0))) => return Ok(()),
                Ok(Some(status)) => {
                    return Err(EmbeddedError::Ended {
                        status,
                        reason: reason(&self.logged_since(server.log_start)),
                        log: self.log(),
                    });
                }
                Ok(None) | Err(_) if Instant::now() > deadline => {
                    return Err(self.give_up(Some(server)));
                }
                Ok(None) | Err(_) => thread::sleep(POLL),
            }
        }
    }
}
