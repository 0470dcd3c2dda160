//! Policies: WebAssembly components that decide which work comes next, when a claim has lapsed, and
//! which repositories take part. Only this module names wasmtime.
