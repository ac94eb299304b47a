//! The order in which the engine lists the columns of a source.
//!
//! The engine turns `selects` into a Scala map and lists its entries as they come: up to four
//! entries keep the order of the conf, more come in the order of a hash trie.

/// Orders the columns of a source as the engine does: the implicit columns (time, partition)
/// and the selects, without duplicates.
pub(super) fn engine_order(implicit: &[&str], selects: &[&str]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for &name in implicit.iter().chain(selects) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > 4 {
        names.sort_by_key(|name| trie_path(hash(name)));
    }
    names.into_iter().map(str::to_owned).collect()
}

/// `String.hashCode` of Java.
fn hash(text: &str) -> u32 {
    text.encode_utf16().fold(0u32, |sum, unit| {
        sum.wrapping_mul(31).wrapping_add(unit.into())
    })
}

/// Iteration order of a `java.util.HashMap` that was copied from a map with these names.
pub(super) fn java_map_order<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let buckets = (names.len() * 4 / 3 + 1).next_power_of_two();
    let mask = u32::try_from(buckets - 1).unwrap_or(u32::MAX);
    let mut ordered = names.to_vec();
    ordered.sort_by_key(|name| {
        let hash = hash(name);
        (hash ^ (hash >> 16)) & mask
    });
    ordered
}

/// Where a hash lies in the trie of Scala 2.12: five bits a level, lowest bits first.
fn trie_path(hash: u32) -> [u32; 7] {
    let mut mixed = hash.wrapping_add(!(hash << 9));
    mixed ^= mixed >> 14;
    mixed = mixed.wrapping_add(mixed << 4);
    mixed ^= mixed >> 10;
    std::array::from_fn(|level| (mixed >> (5 * level)) & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(implicit: &[&str], selects: &str) -> String {
        let selects: Vec<_> = selects.split(' ').collect();
        engine_order(implicit, &selects).join(" ")
    }

    #[test]
    fn many_columns_come_in_the_order_of_the_trie() {
        assert_eq!(
            order(
                &["ts", "ds"],
                "search_id guest_id listing_id host_id price_shown channel ts"
            ),
            "channel listing_id ts guest_id search_id ds price_shown host_id"
        );
        assert_eq!(
            order(&["ds"], "host_id superhost country response_rate").replace("ds ", ""),
            "superhost response_rate country host_id"
        );
    }

    #[test]
    fn up_to_four_columns_keep_their_order() {
        assert_eq!(
            order(&["ds"], "listing_id host asking_price"),
            "ds listing_id host asking_price"
        );
        assert_eq!(
            order(&["ts", "ds"], "guest_id listing_id"),
            "ts ds guest_id listing_id"
        );
    }
}
