//! What the state of a tracked thing is worth to a priority (`Weight` of the model).

use crate::model::Weight;

/// Whether a tracker of weight 0 holds its instance in FAULT. A thing whose state is not known yet does not.
pub fn is_fault(weight: Weight, good: Option<bool>) -> bool {
    weight.value == 0 && good.is_some_and(|good| good == weight.reverse)
}

/// What is added to the priority. A thing whose state is not known yet adds nothing.
pub fn contribution(weight: Weight, good: Option<bool>) -> i32 {
    let Some(good) = good else { return 0 };
    let counts = if weight.value > 0 { good } else { !good };
    match (counts, weight.reverse) {
        (false, _) => 0,
        (true, false) => i32::from(weight.value),
        (true, true) => -i32::from(weight.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn weight(value: i16, reverse: bool) -> Weight {
        Weight { value, reverse }
    }

    #[test]
    fn positive_weights_are_added_while_good_and_negative_ones_while_bad() {
        assert_eq!(contribution(weight(10, false), Some(true)), 10);
        assert_eq!(contribution(weight(10, false), Some(false)), 0);
        assert_eq!(contribution(weight(-10, false), Some(true)), 0);
        assert_eq!(contribution(weight(-10, false), Some(false)), -10);
    }

    #[test]
    fn reverse_changes_the_sign() {
        assert_eq!(contribution(weight(10, true), Some(true)), -10);
        assert_eq!(contribution(weight(-10, true), Some(false)), 10);
        assert_eq!(contribution(weight(-10, true), Some(true)), 0);
    }

    #[test]
    fn weight_zero_is_a_fault_while_bad_and_with_reverse_while_good() {
        assert!(is_fault(weight(0, false), Some(false)));
        assert!(!is_fault(weight(0, false), Some(true)));
        assert!(is_fault(weight(0, true), Some(true)));
        assert!(!is_fault(weight(0, true), Some(false)));
        assert!(!is_fault(weight(5, false), Some(false)));
    }

    #[test]
    fn what_is_not_known_yet_counts_for_nothing() {
        assert!(!is_fault(weight(0, false), None));
        assert_eq!(contribution(weight(-10, false), None), 0);
    }
}
