//! Containers of podman: what holds them, and what they cannot do.
