//! workspace.toml, with spans kept until after its checks.
