//! Values by day in a few bytes each, because those of neighbouring days resemble each other.

use std::{fmt, iter::FusedIterator, marker::PhantomData};

use crate::{Ds, RangeSet};

/// How many numbers a value is made of at most.
const COLUMNS: usize = 4;

/// The numbers of a value: those of the day before differ in few of them, and by little.
pub type Row = [i64; COLUMNS];

/// A value that [`Days`] keep as numbers.
pub trait Packed: Copy {
    /// The value as numbers.
    fn row(self) -> Row;
    /// The value that has these numbers.
    fn of_row(row: Row) -> Self;
}

/// The first byte of a day: which of its numbers follow, as differences to those of the day before.
mod mark {
    /// All numbers before this day were 0.
    pub(super) const FIRST: u8 = 0x80;
    /// The day is not the next one: how many days later it is comes first.
    pub(super) const GAP: u8 = 0x40;
}

/// Values by day, in the order of the days.
#[derive(Clone)]
pub struct Days<T> {
    bytes: Vec<u8>,
    of: PhantomData<T>,
}

impl<T> Default for Days<T> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            of: PhantomData,
        }
    }
}

impl<T> Days<T> {
    /// The form in which they are stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds later days, given as their [`Days::bytes`]. What is none ends the days.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<T: Packed> Days<T> {
    /// Each day and its value, first to last.
    pub fn iter(&self) -> impl FusedIterator<Item = (Ds, T)> + '_ {
        Iter::<T> {
            rest: &self.bytes,
            day: 0,
            row: Row::default(),
            of: PhantomData,
        }
    }

    /// The days that have a value.
    #[must_use]
    pub fn days(&self) -> RangeSet {
        self.iter().map(|(ds, _)| ds).collect()
    }

    /// The value of one day. All days before it are read.
    #[must_use]
    pub fn get(&self, wanted: Ds) -> Option<T> {
        let found = self.iter().find(|(ds, _)| *ds >= wanted);
        found
            .filter(|(ds, _)| *ds == wanted)
            .map(|(_, value)| value)
    }
}

impl<T: Packed> FromIterator<(Ds, T)> for Days<T> {
    /// The days have to be in order.
    fn from_iter<I: IntoIterator<Item = (Ds, T)>>(days: I) -> Self {
        let mut all = Self::default();
        let (mut day, mut before) = (0, Row::default());
        for (ds, value) in days {
            let first = if all.is_empty() { mark::FIRST } else { 0 };
            let now = value.row();
            let ds = i64::from(ds.epoch_days());
            pack(&mut all.bytes, first, ds - day, &before, &now);
            (day, before) = (ds, now);
        }
        all
    }
}

impl<T: Packed + PartialEq> PartialEq for Days<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Packed + Eq> Eq for Days<T> {}

impl<T: Packed + fmt::Debug> fmt::Debug for Days<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn pack(bytes: &mut Vec<u8>, first: u8, step: i64, before: &Row, now: &Row) {
    let at = bytes.len();
    let mut marks = first;
    bytes.push(0);
    if step != 1 {
        marks |= mark::GAP;
        number(bytes, step);
    }
    for (column, (now, before)) in now.iter().zip(before).enumerate() {
        if now != before {
            marks |= 1 << column;
            number(bytes, now.wrapping_sub(*before));
        }
    }
    bytes[at] = marks;
}

/// A number in as many groups of seven bits as it needs, of either sign.
fn number(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

struct Iter<'a, T> {
    rest: &'a [u8],
    day: i64,
    row: Row,
    of: PhantomData<T>,
}

impl<T> Iter<'_, T> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        None
    }

    fn day(&mut self) -> Option<Ds> {
        let marks = self.byte()?;
        if marks & mark::FIRST != 0 {
            (self.day, self.row) = (0, Row::default());
        }
        let step = match marks & mark::GAP {
            0 => 1,
            _ => self.number()?,
        };
        self.day = self.day.checked_add(step)?;
        for column in 0..COLUMNS {
            if marks & (1 << column) != 0 {
                self.row[column] = self.row[column].wrapping_add(self.number()?);
            }
        }
        Some(Ds::from_epoch_days(i32::try_from(self.day).ok()?))
    }
}

impl<T: Packed> Iterator for Iter<'_, T> {
    type Item = (Ds, T);

    fn next(&mut self) -> Option<Self::Item> {
        let day = self.day();
        if day.is_none() {
            self.rest = &[];
        }
        Some((day?, T::of_row(self.row)))
    }
}

impl<T: Packed> FusedIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Packed for Row {
        fn row(self) -> Row {
            self
        }

        fn of_row(row: Row) -> Self {
            row
        }
    }

    fn rows() -> impl Strategy<Value = BTreeMap<i32, Row>> {
        let number = || prop_oneof![-3..3_i64, any::<i64>()];
        let row = [number(), number(), number(), number()];
        prop::collection::btree_map(prop_oneof![-5..9, any::<i32>()], row, 0..12)
    }

    fn packed(rows: &BTreeMap<i32, Row>) -> Days<Row> {
        let days = rows.iter();
        days.map(|(&day, &row)| (Ds::from_epoch_days(day), row))
            .collect()
    }

    fn unpacked(days: &Days<Row>) -> Vec<(i32, Row)> {
        days.iter()
            .map(|(ds, row)| (ds.epoch_days(), row))
            .collect()
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read_also_in_pieces(rows in rows(), cut in any::<i32>()) {
            let expected: Vec<(i32, Row)> = rows.clone().into_iter().collect();
            let days = packed(&rows);
            prop_assert_eq!(unpacked(&days), expected.clone());
            let mut early = rows.clone();
            let late = early.split_off(&cut);
            let mut joined = packed(&early);
            joined.add_bytes(packed(&late).bytes());
            prop_assert_eq!(unpacked(&joined), expected);
            for day in [cut, 0] {
                prop_assert_eq!(days.get(Ds::from_epoch_days(day)), rows.get(&day).copied());
            }
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut days = Days::<Row>::default();
            days.add_bytes(&bytes);
            prop_assert!(days.iter().count() <= bytes.len());
        }
    }

    #[test]
    fn a_day_like_the_one_before_takes_a_byte() {
        let rows = (20_000..21_000).map(|day| (day, [7, i64::MAX, 9, 0]));
        assert!(packed(&rows.collect()).bytes().len() < 1_030);
    }
}
