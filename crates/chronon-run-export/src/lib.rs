//! The asset graph as DOT, Mermaid and JSON.
