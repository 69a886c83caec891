//! A real server: alive while all its checkers succeed.

use std::sync::Arc;

use crate::check::checker::{Checker, file_contribution, file_reason};
use crate::check::desired::{ServerHealth, clamp};
use crate::model;

/// A real server of one virtual server.
#[derive(Clone, Debug)]
pub(crate) struct RealServer {
    pub(crate) config: Arc<model::RealServer>,
    /// It serves, or would if no sorry server did.
    pub(crate) alive: bool,
    pub(crate) checkers: Box<[Checker]>,
}

impl RealServer {
    /// As at the start of the daemon. `files` are the numbers in the track files.
    pub(crate) fn new(config: &Arc<model::RealServer>, files: &[i32]) -> Self {
        Self::with(config, Checker::new, files)
    }

    /// As a reload adds it.
    pub(crate) fn added(config: &Arc<model::RealServer>, files: &[i32]) -> Self {
        Self::with(config, Checker::patient, files)
    }

    fn with(config: &Arc<model::RealServer>, checker: impl Fn(&Arc<model::Checker>) -> Checker, files: &[i32]) -> Self {
        let mut rs =
            Self { config: Arc::clone(config), alive: false, checkers: config.checkers.iter().map(checker).collect() };
        rs.read_files(files);
        rs.alive = rs.is_up();
        rs
    }

    /// Lets its FILE_CHECKs have the numbers, without a word to anybody.
    pub(crate) fn read_files(&mut self, files: &[i32]) {
        for checker in &mut self.checkers {
            if let Some(file) = checker.file() {
                let number = files.get(file.file).copied().unwrap_or(0);
                let contribution = file_contribution(file, number);
                checker.reason = contribution.is_none().then(|| file_reason(number).into());
                checker.has_run = true;
                checker.is_up = contribution.is_some();
                checker.contribution = contribution.unwrap_or(0);
            }
        }
    }

    /// Whether all its checkers succeed; without any it is up.
    pub(crate) fn is_up(&self) -> bool {
        self.checkers.iter().all(|checker| checker.is_up)
    }

    /// The weight in force.
    pub(crate) fn weight(&self) -> u32 {
        let contributions = self.checkers.iter().map(|checker| checker.contribution).sum::<i64>();
        clamp(i64::from(self.config.weight) + contributions)
    }

    /// What the table needs to know of it.
    pub(crate) fn health(&self) -> ServerHealth {
        ServerHealth { alive: self.alive, weight: self.weight() }
    }
}
