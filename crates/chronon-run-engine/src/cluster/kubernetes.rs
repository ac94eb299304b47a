//! Kubernetes, asked through `spark-submit --status` and `--kill`, which log in as jobs do.
//!
//! In cluster mode the driver is a pod, named `<namespace>:<pod>` in the log, and is ended. In
//! client mode the driver is the child: executors leave when it is gone, and there is no name to
//! ask for, so nothing is left to do here.

use std::path::PathBuf;

use super::{command::Program, question::ClusterError};

#[derive(Clone, Debug)]
pub(super) struct Kubernetes {
    master: String,
    submit: Program,
}

impl Kubernetes {
    pub(super) fn new(master: &str, submit: PathBuf, env: Vec<(String, Option<String>)>) -> Self {
        Self {
            master: master.to_owned(),
            submit: Program { path: submit, env },
        }
    }

    pub(super) fn runs(&self, id: &str) -> Result<bool, ClusterError> {
        let status = self
            .submit
            .output(&["--master", &self.master, "--status", id])?;
        let phase = status.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == "phase").then(|| value.trim().to_owned())
        });
        Ok(phase.is_some_and(|phase| !matches!(phase.as_str(), "Succeeded" | "Failed")))
    }

    pub(super) fn kill(&self, id: &str) -> Result<(), ClusterError> {
        let kill = self
            .submit
            .output(&["--master", &self.master, "--kill", id]);
        kill.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

    use super::super::{Cluster, Programs};

    #[test]
    fn a_driver_pod_is_killed_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let submit = folder.path().join("spark-submit");
        let pods = folder.path().join("running");
        let script = format!(
            "#!/bin/sh\n[ \"$2\" = k8s://https://k8s:443 ] || exit 1\nif [ \"$3\" = --kill ]; then rm '{0}'; exit 0; fi\n\
             if [ -e '{0}' ]; then printf '\\t phase: Running\\n'; else echo 'No applications found.'; fi\n",
            pods.display()
        );
        fs::write(&submit, script).unwrap();
        fs::set_permissions(&submit, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&pods, "").unwrap();
        let programs = Programs {
            spark_submit: Some(submit),
            ..Programs::default()
        };
        let cluster = Cluster::of("k8s://https://k8s:443", None, &programs, None);
        let cluster = cluster.unwrap().unwrap();
        assert!(
            cluster
                .end("spark:join-1-driver", Duration::from_secs(60))
                .unwrap()
        );
        assert!(!pods.exists());
        assert!(
            !cluster
                .end("spark:join-1-driver", Duration::from_secs(60))
                .unwrap()
        );
    }
}
