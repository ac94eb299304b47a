//! Folders, and the room on their disks.

use std::path::Path;

use chronon_run_process::{Disk, disk};
use chronon_run_report::{Check, Verdict, size};

/// Below this many free bytes nothing of use can be written.
const LEAST_ROOM: u64 = 64 << 20;

/// Below this many, a run may fill the disk.
const LITTLE_ROOM: u64 = 1 << 30;

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// How much room a folder's disk has.
pub(super) fn room(section: &'static str, name: &str, folder: &Path) -> Check {
    of_disk(section, name, folder, disk(folder))
}

fn of_disk(section: &'static str, name: &str, folder: &Path, found: Option<Disk>) -> Check {
    let Some(found) = found else {
        return Check::info(section, name, "not known");
    };
    let text = format!("{} of {}", size(found.free), size(found.total));
    match found.free {
        0..LEAST_ROOM => Check::new(section, name, Verdict::Problem, text)
            .hint(format!("free space on the disk of {}", folder.display())),
        LEAST_ROOM..LITTLE_ROOM => Check::new(section, name, Verdict::Warning, text),
        _ => Check::new(section, name, Verdict::Ok, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_no_room_a_problem() {
        let of = |free| {
            let total = 1 << 40;
            let found = Some(Disk { free, total });
            of_disk("state folder", "free", Path::new("/x"), found)
        };
        assert_eq!(of(LEAST_ROOM - 1).verdict, Verdict::Problem);
        assert_eq!(
            of(0).hint.as_deref(),
            Some("free space on the disk of /x"),
            "what to do"
        );
        assert_eq!(of(LEAST_ROOM).verdict, Verdict::Warning);
        assert_eq!(of(LITTLE_ROOM - 1).verdict, Verdict::Warning);
        assert_eq!(of(LITTLE_ROOM).verdict, Verdict::Ok);
        let unknown = of_disk("state folder", "free", Path::new("/x"), None);
        assert_eq!(
            (unknown.verdict, unknown.value.as_str()),
            (Verdict::Info, "not known")
        );
    }
}
