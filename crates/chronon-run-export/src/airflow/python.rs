//! The Python files: pieces that read the manifest, put together for each kind of DAG.

use std::collections::BTreeMap;

use super::manifest::DagKind;

/// A major version of Airflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AirflowMajor {
    /// 2.10 and 2.11.
    Two,
    /// 3.x.
    Three,
}

const TASKS: &str = include_str!("python/tasks.py");
const KV: &str = include_str!("python/kv.py");
const DAGS: &str = include_str!("python/dags.py");
/// How the last piece asks for the user's operator; only the batch DAGs have uploads.
const OWN_OPERATOR: &str = "own_kv_operator(dag, task) or ";

/// Every Python file, by name. They are the same for every workspace.
pub(super) fn files(major: AirflowMajor) -> BTreeMap<String, String> {
    DagKind::ALL
        .iter()
        .map(|&kind| (format!("chronon_{}.py", kind.word()), file(kind, major)))
        .collect()
}

fn file(kind: DagKind, major: AirflowMajor) -> String {
    let (imports, mail) = match major {
        AirflowMajor::Two => (
            include_str!("python/imports_2.py"),
            include_str!("python/mail_2.py"),
        ),
        AirflowMajor::Three => (
            include_str!("python/imports_3.py"),
            include_str!("python/mail_3.py"),
        ),
    };
    let about = kind.about();
    let head = format!(
        "\"\"\"{about}\n\nAn Airflow DAG file, written by `chronon-run export airflow`: do not edit it, export again.\nEverything that is the workspace's own is in chronon_run.json beside it.\n\"\"\"\n\n"
    );
    let constants = format!("\nKIND = \"{}\"", kind.word());
    if kind == DagKind::Batch {
        let imports = imports.replace(
            "from pathlib import Path",
            "from functools import cache\nfrom importlib.util import module_from_spec, spec_from_file_location\nfrom pathlib import Path",
        );
        [&head, &imports, &constants, TASKS, mail, KV, DAGS].concat()
    } else {
        let dags = DAGS.replace(OWN_OPERATOR, "");
        [&head, imports, &constants, TASKS, mail, &dags].concat()
    }
}
