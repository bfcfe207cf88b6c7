//! Whether what was advised turned out as predicted.
#![forbid(unsafe_code)]

/// A prediction and what came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub predicted_bytes: Option<f64>,
    pub bytes: f64,
    /// Part of the statements' cost that was to remain.
    pub predicted_share: Option<f64>,
    /// Mean time of the statements before and since.
    pub before_ms: Option<f64>,
    pub after_ms: Option<f64>,
    pub scans: i64,
    pub days: f64,
}

/// How far a size may be off.
const SIZE: f64 = 0.25;

/// In a sentence, the gravest first.
pub fn verdict(outcome: &Outcome) -> String {
    let mut said = Vec::new();
    if outcome.scans == 0 {
        said.push(if outcome.days < 1.0 {
            "not used yet".to_owned()
        } else {
            format!("not used in {:.0} days", outcome.days.floor())
        });
    }
    if let (Some(before), Some(after)) = (outcome.before_ms, outcome.after_ms)
        && before > 0.0
    {
        let share = after / before;
        let mut times = format!("its statements take {:.0} % of the time they took", 100.0 * share);
        if let Some(predicted) = outcome.predicted_share {
            times += &format!(", {:.0} % of their cost was predicted", 100.0 * predicted);
        }
        said.push(if share > 1.1 { format!("slower: {times}") } else { times });
    }
    if let Some(predicted) = outcome.predicted_bytes.filter(|bytes| *bytes > 0.0) {
        let off = outcome.bytes / predicted - 1.0;
        if off.abs() > SIZE {
            let word = if off > 0.0 { "larger" } else { "smaller" };
            said.push(format!("{:.0} % {word} than predicted", 100.0 * off.abs()));
        }
    }
    if said.is_empty() { "as predicted".to_owned() } else { said.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, verdict};

    #[test]
    fn what_differs_from_the_prediction_is_said() {
        let well =
            Outcome { predicted_bytes: Some(100.0), bytes: 110.0, scans: 5, days: 3.0, ..Outcome::default() };
        assert_eq!(verdict(&well), "as predicted");
        assert_eq!(verdict(&Outcome { scans: 0, ..well.clone() }), "not used in 3 days");
        assert_eq!(verdict(&Outcome { bytes: 200.0, ..well.clone() }), "100 % larger than predicted");
        let faster = Outcome {
            before_ms: Some(10.0),
            after_ms: Some(1.0),
            predicted_share: Some(0.2),
            ..well.clone()
        };
        assert_eq!(
            verdict(&faster),
            "its statements take 10 % of the time they took, 20 % of their cost was predicted"
        );
        let slower = Outcome { after_ms: Some(20.0), ..faster };
        assert!(verdict(&slower).starts_with("slower: "));
    }
}
