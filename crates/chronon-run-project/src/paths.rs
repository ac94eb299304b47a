//! Where a workspace keeps what belongs to it, below its state folder.

use std::path::PathBuf;

use chronon_run_workspace::{Catalog, Workspace};

/// The file, in the state folder, of what tells the tables of `diff --data` of this workspace from those of others.
pub(crate) const SCRATCH_ID_FILE: &str = "targets/diff--data.id";

/// Where the embedded metastore keeps its database.
pub fn metastore_directory(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("metastore")
}

/// Where managed tables' files go.
pub fn warehouse_directory(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("warehouse")
}

/// Where jobs put the files of new databases: beside the embedded metastore, or wherever the user's
/// own metastore and Spark configuration say.
pub fn own_warehouse(workspace: &Workspace) -> Option<PathBuf> {
    match workspace.catalog {
        Catalog::Embedded { .. } => Some(warehouse_directory(workspace)),
        Catalog::Hive { .. } | Catalog::Fixture { .. } => None,
    }
}

/// Where the scratch folders of all processes are.
pub fn scratch_root(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("scratch")
}

/// Where Spark processes are kept that outlive the commands that start them.
pub fn kept_root(workspace: &Workspace) -> PathBuf {
    scratch_root(workspace).join("spark")
}
