//! The one call that a metastore of Hive 2 answers badly while its tables change.
//!
//! `get_partition_names` declares no "no such table", so a server of Hive 2.3 ends it with an internal
//! error: if the table is not there, and also, now and then, while another session drops tables.

use std::time::Duration;

use chronon_run_core::TableName;
use hive_metastore::ThriftHiveMetastoreGetTableException;
use pilota::FastStr;

use crate::client::{CallError, Session, refused};

/// The metastore's word for "no limit".
const ALL: i16 = -1;
/// Before each further question. Together less than a person would notice.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(450),
];

impl Session {
    /// The names of all partitions; `None` if there is no such table. After an internal error of a
    /// table that is there, it is asked again, a few times.
    pub(crate) async fn partition_names(
        &self,
        table: &TableName,
    ) -> Result<Option<Vec<FastStr>>, CallError> {
        let call = "get_partition_names";
        let mut pauses = PAUSES.into_iter();
        loop {
            let (namespace, name) = fast(table);
            let future = self.client.get_partition_names(namespace, name, ALL);
            let error = match self.call(call, future).await {
                Ok(Ok(names)) => return Ok(Some(names)),
                Ok(Err(exception)) => return Err(refused(call, &exception)),
                Err(error @ CallError::Internal { .. }) => error,
                Err(error) => return Err(error),
            };
            if !self.exists(table).await? {
                return Ok(None);
            }
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn exists(&self, table: &TableName) -> Result<bool, CallError> {
        let (namespace, name) = fast(table);
        let future = self.client.get_table(namespace, name);
        match self.call("get_table", future).await? {
            Ok(_) => Ok(true),
            Err(ThriftHiveMetastoreGetTableException::O2(_)) => Ok(false),
            Err(exception) => Err(refused("get_table", &exception)),
        }
    }
}

fn fast(table: &TableName) -> (FastStr, FastStr) {
    (FastStr::new(table.namespace()), FastStr::new(table.name()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;
    use crate::{CatalogError, Hive, Timeouts};

    /// What a server says to one call, in Thrift's binary protocol.
    #[derive(Clone, Copy)]
    enum Answer {
        InternalError,
        Names(&'static [&'static str]),
        /// A definition without anything in it.
        Table,
        NoSuchTable,
    }

    /// A metastore that gives these answers, one after another, and the calls that it got.
    fn server(answers: Vec<Answer>) -> (Hive, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("thrift://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                // A request is written at once.
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    // Version and kind, the method's name with its length, the sequence number.
                    let name_length = usize::from(buffer[7]);
                    let header = &buffer[..12 + name_length];
                    assert!(length > header.len());
                    let name = String::from_utf8_lossy(&header[8..8 + name_length]);
                    seen.lock().unwrap().push(name.into_owned());
                    let answer = answers.next().unwrap().bytes(header);
                    stream.write_all(&answer).unwrap();
                }
            }
        });
        (Hive::new(&uri, Timeouts::default()).unwrap(), calls)
    }

    impl Answer {
        fn bytes(&self, header: &[u8]) -> Vec<u8> {
            let mut bytes = header.to_vec();
            bytes[3] = match self {
                Self::InternalError => 3,
                _ => 2,
            };
            match self {
                Self::InternalError => {
                    field(&mut bytes, 11, 1);
                    text(&mut bytes, "Internal error processing get_partition_names");
                    field(&mut bytes, 8, 2);
                    bytes.extend(6_i32.to_be_bytes());
                }
                Self::Names(names) => {
                    field(&mut bytes, 15, 0);
                    bytes.push(11);
                    bytes.extend(u32::try_from(names.len()).unwrap().to_be_bytes());
                    names.iter().for_each(|name| text(&mut bytes, name));
                }
                Self::Table => {
                    field(&mut bytes, 12, 0);
                    bytes.push(0);
                }
                Self::NoSuchTable => {
                    field(&mut bytes, 12, 2);
                    field(&mut bytes, 11, 1);
                    text(&mut bytes, "a.b table not found");
                    bytes.push(0);
                }
            }
            bytes.push(0);
            bytes
        }
    }

    fn field(bytes: &mut Vec<u8>, kind: u8, id: u8) {
        bytes.extend([kind, 0, id]);
    }

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());
    }

    fn ask(hive: &Hive) -> Result<Option<Vec<FastStr>>, CatalogError> {
        let table: TableName = "a.b".parse().unwrap();
        hive.run(|session| {
            let table = table.clone();
            async move { session.partition_names(&table).await }
        })
    }

    #[test]
    fn a_table_that_is_there_is_asked_for_again() {
        use Answer::{InternalError, Names, Table};
        let (hive, calls) = server(vec![
            InternalError,
            Table,
            InternalError,
            Table,
            Names(&["ds=2026-01-01"]),
        ]);
        let names = ask(&hive).unwrap().unwrap();
        assert_eq!(names, ["ds=2026-01-01"]);
        let names = ["get_partition_names", "get_table"];
        let wanted = [names[0], names[1], names[0], names[1], names[0]];
        assert_eq!(*calls.lock().unwrap(), wanted);
    }

    #[test]
    fn a_table_that_is_gone_is_an_answer() {
        let (hive, calls) = server(vec![Answer::InternalError, Answer::NoSuchTable]);
        assert_eq!(ask(&hive).unwrap(), None);
        assert_eq!(calls.lock().unwrap().len(), 2);
    }

    #[test]
    fn an_error_that_stays_is_told_after_a_few_questions() {
        let answers = [Answer::InternalError, Answer::Table].repeat(9);
        let (hive, calls) = server(answers);
        let error = ask(&hive).unwrap_err();
        assert!(matches!(error, CatalogError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("Internal error"), "{error}");
        assert_eq!(calls.lock().unwrap().len(), 2 * (1 + PAUSES.len()));
    }
}
