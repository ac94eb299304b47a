//! Orders that are those of hash tables: of the columns of a source, and of the entries of a map.
//!
//! The engine turns `selects` into a Scala map and lists its entries as they come: up to four
//! entries keep the order of the conf, more come in the order of a hash trie.
//!
//! A map that is a result is copied twice before it is written: into a `java.util.HashMap` of its
//! size (`Row.to`), then into a `mutable.HashMap` of Scala 2.12 (`SparkConversions.toSparkRow`),
//! which lists its slots from the last to the first. So the order of the entries depends on the
//! keys alone.

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

/// SQL: `String.hashCode` of Java of the text `word`, as a bigint without sign.
pub(super) fn java_hash(word: &str) -> String {
    let units = format!(
        "FILTER(SPLIT(REGEXP_REPLACE(HEX(ENCODE({word}, 'UTF-16BE')), '(....)', '$1 '), ' '), u -> u <> '')"
    );
    format!(
        "AGGREGATE({units}, 0L, (h, u) -> (h * 31L + CAST(CONV(u, 16, 10) AS BIGINT)) % 4294967296L)"
    )
}

/// SQL: the slot of the hash `h` in a `java.util.HashMap` with `slots` slots.
pub(super) fn java_slot(h: &str, slots: &str) -> String {
    format!("(({h} ^ SHIFTRIGHT({h}, 16)) & ({slots} - 1L))")
}

/// SQL: the smallest power of two that is not less than `number`, which is at least 2.
pub(super) fn power_of_two(number: &str) -> String {
    format!("SHIFTLEFT(1L, LENGTH(BIN({number} - 1L)))")
}

/// SQL: the map `map`, whose keys are texts, with its entries in the engine's order.
pub(super) fn in_engine_order(map: &str) -> String {
    // Slots of the Java map that is made for this many entries, and of the one that was filled
    // row by row, which has 16 at least. Neither is more than three quarters full.
    let copied = power_of_two("((4L * SIZE(m) + 2L) DIV 3L)");
    let grown = format!("GREATEST(16L, {copied})");
    // How often a Scala map of 16 slots has been doubled: after the 13th, 25th, 49th, … entry.
    let doublings = |before: &str| {
        format!("IF({before} <= 12, 0, LENGTH(BIN(CAST(({before} - 1) DIV 12 AS BIGINT))))")
    };
    let all_doublings = doublings("SIZE(m)");
    let mix = |value: &str| format!("({value} * -1640532531L) & 4294967295L");
    let reversed = "(SHIFTLEFT(x.a & 255L, 24) | SHIFTLEFT(x.a & 65280L, 8) | (SHIFTRIGHT(x.a, 8) & 65280L) | (SHIFTRIGHT(x.a, 24) & 255L))";
    let hashes = format!(
        "TRANSFORM(MAP_KEYS(m), word ->\n        {})",
        java_hash("word")
    );
    let java = format!(
        "SORT_ARRAY(TRANSFORM({hashes}, (h, i) -> NAMED_STRUCT(\n        'copied', {},\n        'grown', {},\n        'word', ELEMENT_AT(MAP_KEYS(m), i + 1), 'i', i, 'a', {})))",
        java_slot("h", &copied),
        java_slot("h", &grown),
        mix("h"),
    );
    let mixed = format!(
        "TRANSFORM({java}, (x, n) -> NAMED_STRUCT('i', x.i, 'n', n,\n        'c', {}))",
        mix(reversed)
    );
    // Entries of one slot: a doubling turns their order around, and the newest is listed first.
    let parity = format!("({all_doublings} - {}) % 2", doublings("x.n"));
    let scala = format!(
        "SORT_ARRAY(TRANSFORM(TRANSFORM({mixed}, x -> NAMED_STRUCT('i', x.i, 'n', x.n,\n        'slot', SHIFTRIGHT(SHIFTRIGHT(x.c, 4) | SHIFTLEFT(x.c & 15L, 28), 28 - {all_doublings}),\n        'parity', {parity})), x -> NAMED_STRUCT(\n        'slot', -x.slot, 'parity', x.parity, 'n', IF(x.parity = 0, -x.n, x.n), 'i', x.i)))"
    );
    format!(
        "/* entries in the order of the Driver */ ELEMENT_AT(TRANSFORM(ARRAY({map}), m -> IF(SIZE(m) < 2, m, MAP_FROM_ENTRIES(TRANSFORM(\n      {scala},\n      x -> ELEMENT_AT(MAP_ENTRIES(m), x.i + 1))))), 1)"
    )
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
