//! The documents: every command in them runs, every link leads somewhere, every picture and reference is of this program.

mod commands;
mod configured;
mod links;
mod pictures;
mod reference;
mod shell;
mod troubleshooting;
