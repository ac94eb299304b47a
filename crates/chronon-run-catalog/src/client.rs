//! The Thrift client: one place where time-outs, fail-over and error texts are decided.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use hive_metastore::{ThriftHiveMetastoreClient, ThriftHiveMetastoreClientBuilder};
use pilota::thrift::ApplicationExceptionKind;
use tokio::runtime::{Builder, Runtime};
use volo_thrift::{ClientError, MaybeException};

use crate::{
    CatalogError, Timeouts, Uri,
    answer::{CheckedCodec, NOT_VALID},
};

/// A Hive metastore over Thrift. Cheap to keep: connections are opened on first use and reused.
#[derive(Debug)]
pub struct Hive {
    uri: Uri,
    timeouts: Timeouts,
    runtime: Runtime,
    /// Index of the address that answered last, so that a dead first one costs its time-out once.
    preferred: AtomicUsize,
}

impl Hive {
    /// A client for `uri`; connects when first asked.
    ///
    /// # Errors
    /// [`CatalogError::BadUri`] if `uri` is not `thrift://host:port[,…]`.
    pub fn new(uri: &str, timeouts: Timeouts) -> Result<Self, CatalogError> {
        let uri = uri.parse()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CatalogError::Client)?;
        Ok(Self {
            uri,
            timeouts,
            runtime,
            preferred: AtomicUsize::new(0),
        })
    }

    /// Every address, as given.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Runs `work` against the first address that can be reached. `work` may be run again on the
    /// next address after a connection was lost, so it must be harmless to repeat.
    pub(crate) fn run<T, F, Work>(&self, work: F) -> Result<T, CatalogError>
    where
        F: Fn(Session) -> Work,
        Work: Future<Output = Result<T, CallError>>,
    {
        self.runtime.block_on(async {
            let count = self.uri.addresses().len();
            let first = self.preferred.load(Ordering::Relaxed);
            let mut why = String::new();
            for index in (first..first + count).map(|index| index % count) {
                let address = &self.uri.addresses()[index];
                match self.attempt(address, &work).await {
                    Err(CallError::Unreachable(reason)) => why = format!("{address}: {reason}"),
                    outcome => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return outcome.map_err(|error| self.explain(error));
                    }
                }
            }
            Err(self.explain(CallError::Unreachable(why)))
        })
    }

    async fn attempt<T, F, Work>(&self, address: &str, work: &F) -> Result<T, CallError>
    where
        F: Fn(Session) -> Work,
        Work: Future<Output = Result<T, CallError>>,
    {
        let resolved = self
            .limit("resolve", tokio::net::lookup_host(address))
            .await?;
        let resolved = resolved.map_err(|error| CallError::Unreachable(error.to_string()))?;
        let mut outcome = Err(CallError::Unreachable("the name has no address".into()));
        for socket in resolved {
            outcome = work(self.session(socket)).await;
            if !matches!(outcome, Err(CallError::Unreachable(_))) {
                break;
            }
        }
        outcome
    }

    async fn limit<T>(
        &self,
        call: &'static str,
        future: impl Future<Output = T>,
    ) -> Result<T, CallError> {
        let limited = tokio::time::timeout(self.timeouts.call, future).await;
        limited.map_err(|_| CallError::TimedOut(call))
    }

    fn session(&self, address: SocketAddr) -> Session {
        let client = ThriftHiveMetastoreClientBuilder::new("hive-metastore")
            .address(address)
            .make_codec(CheckedCodec::new())
            .connect_timeout(Some(self.timeouts.connect))
            .read_write_timeout(Some(self.timeouts.call))
            .rpc_timeout(None)
            .build();
        Session {
            client,
            timeouts: self.timeouts,
        }
    }

    fn explain(&self, error: CallError) -> CatalogError {
        let uri = self.uri.clone();
        match error {
            CallError::Unreachable(why) => CatalogError::Unreachable { uri, why },
            CallError::TimedOut(call) => CatalogError::TimedOut {
                uri,
                call,
                after: self.timeouts.call,
            },
            CallError::Refused { call, message } | CallError::Internal { call, message } => {
                CatalogError::Refused { uri, call, message }
            }
            CallError::Protocol(why) => CatalogError::Protocol { uri, why },
        }
    }
}

/// One address in use.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) client: ThriftHiveMetastoreClient,
    timeouts: Timeouts,
}

/// Why one call failed, before the address is added.
#[derive(Debug)]
pub(crate) enum CallError {
    Unreachable(String),
    TimedOut(&'static str),
    Refused {
        call: &'static str,
        message: String,
    },
    /// The server ended the call with an error of its own.
    Internal {
        call: &'static str,
        message: String,
    },
    Protocol(String),
}

impl Session {
    /// Awaits one call; the metastore's own exceptions are the inner error.
    pub(crate) async fn call<T, E>(
        &self,
        call: &'static str,
        future: impl Future<Output = Result<MaybeException<T, E>, ClientError>>,
    ) -> Result<Result<T, E>, CallError> {
        let answer = tokio::time::timeout(self.timeouts.call, future)
            .await
            .map_err(|_| CallError::TimedOut(call))?;
        match answer {
            Ok(MaybeException::Ok(value)) => Ok(Ok(value)),
            Ok(MaybeException::Exception(exception)) => Ok(Err(exception)),
            Err(error) => Err(classify(call, &error)),
        }
    }

    /// Awaits one call of which every exception is a failure.
    pub(crate) async fn demand<T, E: Exception>(
        &self,
        call: &'static str,
        future: impl Future<Output = Result<MaybeException<T, E>, ClientError>>,
    ) -> Result<T, CallError> {
        let answer = self.call(call, future).await?;
        answer.map_err(|exception| refused(call, &exception))
    }
}

fn classify(call: &'static str, error: &ClientError) -> CallError {
    match error {
        ClientError::Transport(error) if error.to_string().contains(NOT_VALID) => {
            CallError::Protocol(error.to_string())
        }
        ClientError::Transport(error) => CallError::Unreachable(error.to_string()),
        ClientError::Application(error)
            if error.kind() == ApplicationExceptionKind::INTERNAL_ERROR =>
        {
            CallError::Internal {
                call,
                message: error.to_string(),
            }
        }
        ClientError::Application(error) => CallError::Refused {
            call,
            message: error.to_string(),
        },
        ClientError::Protocol(_) | ClientError::Biz(_) => CallError::Protocol(error.to_string()),
    }
}

pub(crate) fn refused(call: &'static str, exception: &impl Exception) -> CallError {
    CallError::Refused {
        call,
        message: exception.message(),
    }
}

/// What the generated exception enums have in common.
pub(crate) trait Exception {
    /// The metastore's own words.
    fn message(&self) -> String;
}

macro_rules! exceptions {
    ($($name:ident: $($variant:ident)+;)+) => {$(
        impl Exception for hive_metastore::$name {
            fn message(&self) -> String {
                let message = match self {
                    $(Self::$variant(exception) => exception.message.as_ref(),)+
                };
                message.map_or_else(|| "no reason given".to_owned(), ToString::to_string)
            }
        }
    )+};
}

exceptions! {
    ThriftHiveMetastoreGetAllDatabasesException: O1;
    ThriftHiveMetastoreGetTableObjectsByNameException: O1 O2 O3;
    ThriftHiveMetastoreGetPartitionNamesException: O2;
    ThriftHiveMetastoreGetPartitionsByNamesException: O1 O2;
    ThriftHiveMetastoreGetTableException: O1 O2;
    ThriftHiveMetastoreGetTablesException: O1;
    ThriftHiveMetastoreAddPartitionsReqException: O1 O2 O3;
    ThriftHiveMetastoreDropPartitionsReqException: O1 O2;
    ThriftHiveMetastoreCreateTableException: O1 O2 O3 O4;
    ThriftHiveMetastoreCreateDatabaseException: O1 O2 O3;
    ThriftHiveMetastoreDropDatabaseException: O1 O2 O3;
    ThriftHiveMetastoreDropTableException: O1 O3;
    ThriftHiveMetastoreAlterTableException: O1 O2;
}
