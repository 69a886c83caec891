//! The configuration from text to model, over files of our own and, where it is there, a corpus of files in the field.

#![allow(clippy::unwrap_used)]

mod basics;
mod corpus;
mod examples;
mod handover;
mod hostile;
mod keywords;
mod kit;
mod lexical;
mod rules;
mod samples;
mod servers;
