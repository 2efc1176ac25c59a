//! When is a cluster full, if it goes on as it did?

use std::fmt;

use crate::model::{Mib, Timestamp};

/// Less history than this says nothing about months: a week has its own rhythm.
const SPAN_MILLIS: u64 = 7 * DAY;
/// Fewer points than this make no trend.
const POINTS: usize = 3;
/// Slopes of all pairs are taken of this many points at most, evenly chosen.
const MOST: usize = 512;
const DAY: u64 = 24 * 60 * 60 * 1000;
/// A twelfth of a year.
const MONTH_DAYS: f64 = 365.25 / 12.0;

/// When a cluster is full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trend {
    /// At this rate it is full in so many months.
    Full {
        /// Months of 30.4 days from the last point on; zero if it is full.
        months: f64,
        /// Growth a month, MiB.
        monthly: f64,
    },
    /// It does not grow.
    NotGrowing {
        /// Change a month, MiB; zero or less.
        monthly: f64,
    },
    /// Fewer than three points in time, or less than seven days between the first and the last.
    TooLittleHistory,
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trend::Full { months, .. } if *months <= 0.0 => f.write_str("The cluster is full."),
            Trend::Full { months, monthly } => write!(
                f,
                "It grows by {monthly:.0} MiB a month; if it goes on like that, it is full in {months:.1} months."
            ),
            Trend::NotGrowing { .. } => f.write_str("It is not growing, so that no date can be given."),
            Trend::TooLittleHistory => {
                f.write_str("There is too little history: at least three points over seven days are needed.")
            }
        }
    }
}

/// When what is booked reaches `capacity`, from what was booked at some points in time, in any order:
/// [`booked_over_time`](crate::ledger::booked_over_time) reads them from the ledger.
///
/// A line through the points by the median of the slopes of all pairs (Theil, 1950; Sen, 1968): unlike least squares
/// it stays where it is while up to 29 % of the points are far off, as after one large cache that came and went. The
/// line, not the last point, says what is booked now. O(n log n) for n points, and 512² for the slopes.
#[must_use]
pub fn until_full(history: &[(Timestamp, Mib)], capacity: Mib) -> Trend {
    let mut points = history.to_vec();
    points.sort_unstable();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Trend::TooLittleHistory;
    };
    let (start, end) = (first.0.as_millis(), last.0.as_millis());
    let times = 1 + points.windows(2).filter(|pair| pair[0].0 < pair[1].0).count();
    if times < POINTS || end - start < SPAN_MILLIS {
        return Trend::TooLittleHistory;
    }
    if points.len() > MOST {
        points = (0..MOST).map(|at| points[at * (points.len() - 1) / (MOST - 1)]).collect();
    }
    // Days since the first point, so that nothing is lost to large numbers.
    let points: Vec<(f64, f64)> = points
        .into_iter()
        .map(|(at, booked)| ((at.as_millis() - start) as f64 / DAY as f64, booked.get() as f64))
        .collect();
    let mut slopes = Vec::new();
    for (at, one) in points.iter().enumerate() {
        slopes.extend(
            points[at + 1..]
                .iter()
                .filter(|other| other.0 > one.0)
                .map(|other| (other.1 - one.1) / (other.0 - one.0)),
        );
    }
    let daily = median(&mut slopes);
    let mut levels: Vec<f64> = points.iter().map(|(day, booked)| booked - daily * day).collect();
    let now = median(&mut levels) + daily * ((end - start) as f64 / DAY as f64);
    let monthly = daily * MONTH_DAYS;
    let left = capacity.get() as f64 - now;
    if left <= 0.0 {
        Trend::Full { months: 0.0, monthly }
    } else if monthly <= 0.0 {
        Trend::NotGrowing { monthly }
    } else {
        Trend::Full { months: left / monthly, monthly }
    }
}

/// The middle value, or the mean of the two in the middle; zero of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
