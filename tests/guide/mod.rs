//! The pages in `docs/guide`: their tables, links, example test and shell commands, held against what is there.

mod calls;
mod chat;
mod page;
mod pages;
mod rotation;
mod source;
mod streams;
mod tables;
mod testing;
mod walks;
