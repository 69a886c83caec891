//! The configuration from text to model, over files of our own and, where it is there, a corpus of files in the field.

mod basics;
mod kit;
mod lexical;
