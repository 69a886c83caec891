//! The results: one row for each measurement.

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Ours is at most so many times theirs.
    Ratio(f64),
    /// Ours is at most so much, whatever theirs is.
    AtMost(f64),
    /// For information.
    None,
}

/// Prints rows as they come.
pub(crate) struct Table {
    missed: u32,
    rows: u32,
}

impl Table {
    pub(crate) fn new() -> Self {
        println!("{:<66} {:>12} {:>12} {:>7} {:>9}  met", "", "ours", "theirs", "ratio", "goal");
        Self { missed: 0, rows: 0 }
    }

    /// A row; numbers are in this unit.
    pub(crate) fn row(&mut self, what: &str, unit: &str, ours: f64, theirs: Option<f64>, goal: Goal) {
        let number = |v: f64| if v >= 1000.0 { format!("{v:.0}") } else { format!("{v:.2}") };
        let ratio = theirs.filter(|t| *t > 0.0).map(|t| ours / t);
        let (wanted, met) = match goal {
            Goal::Ratio(most) => (format!("≤ {most}×"), ratio.map(|r| r <= most)),
            Goal::AtMost(most) => (format!("≤ {most}"), Some(ours <= most)),
            Goal::None => (String::new(), None),
        };
        let met_word = met.map_or("", |m| if m { "yes" } else { "NO" });
        println!(
            "{:<66} {:>12} {:>12} {:>7} {wanted:>9}  {met_word}",
            format!("{what}, {unit}"),
            number(ours),
            theirs.map_or("-".into(), number),
            ratio.map_or("-".into(), |r| format!("{r:.2}")),
        );
        self.rows += 1;
        self.missed += u32::from(met == Some(false));
    }

    /// A measurement that could not be made.
    pub(crate) fn cannot(&mut self, what: &str, why: &str) {
        println!("{what:<66} not measured: {why}");
    }

    /// For tests/run, this counts as one test: that the measurements work. Whether goals are met is for people.
    pub(crate) fn end(&self) {
        println!("{} rows, {} goals missed", self.rows, self.missed);
        println!("ok - the measurements work");
    }
}
