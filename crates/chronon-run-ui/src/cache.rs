//! Pages that were rendered for one viewer are given to the others, until something changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of pages that are kept at most.
const MOST: usize = 4 << 20;

/// Rendered pages of one state of the workspace.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    pages: HashMap<String, (u64, Arc<str>)>,
    bytes: usize,
}

impl Cache {
    /// The page at an address, if nothing has changed since it was rendered.
    pub(crate) fn get(&self, address: &str, version: u64) -> Option<Arc<str>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, page) = kept.pages.get(address)?;
        (*of == version).then(|| page.clone())
    }

    pub(crate) fn keep(&self, address: &str, version: u64, page: &Arc<str>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + page.len() > MOST {
            *kept = Kept::default();
        }
        if page.len() > MOST {
            return;
        }
        kept.bytes += page.len();
        let before = kept
            .pages
            .insert(address.to_owned(), (version, page.clone()));
        kept.bytes -= before.map_or(0, |(_, page)| page.len());
    }
}

/// FNV-1a: tells versions apart; not for secrets.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_version_is_not_given() {
        let cache = Cache::default();
        cache.keep("/a", 1, &Arc::from("one"));
        assert_eq!(cache.get("/a", 1).as_deref(), Some("one"));
        assert_eq!(cache.get("/a", 2), None);
    }

    #[test]
    fn pages_do_not_take_more_than_their_bytes() {
        let cache = Cache::default();
        let page: Arc<str> = "x".repeat(MOST / 3).into();
        for address in 0..20 {
            cache.keep(&address.to_string(), 1, &page);
        }
        assert!(cache.0.lock().unwrap().bytes <= MOST);
        assert!(cache.get("19", 1).is_some());
    }
}
