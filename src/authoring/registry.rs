//! Policies in OCI registries.
