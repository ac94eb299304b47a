//! A plan in a file, which is run as it was reviewed or not at all.

use std::{fmt, fs, path::Path};

use chronon_run_plan::{PLAN_VERSION, Plan};

use crate::{
    failure::Failure,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::json,
    planning::prepared::Wanted,
};

/// Writes a plan.
pub fn write(plan: &Plan, path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::setup(format!("cannot write {}: {error}", path.display()));
    chronon_run_process::replace(path, json(plan)?).map_err(failed)
}

/// Reads a plan.
pub fn read(path: &Path) -> Result<Plan, Failure> {
    let failed = |error: &dyn fmt::Display| {
        Failure::hinted(
            format!("cannot read the plan {}: {error}", path.display()),
            "`chronon-run plan --out FILE` writes one",
        )
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    parse(&text).map_err(|error| failed(&error))
}

fn parse(text: &str) -> Result<Plan, String> {
    let text = text.trim_start_matches(chronon_run_core::BYTE_ORDER_MARK);
    // The version first: a plan of another version may have another shape.
    let version = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|plan| plan["version"].as_u64());
    match version {
        Some(version) if version != u64::from(PLAN_VERSION) => Err(format!(
            "it has version {version}, this chronon-run reads version {PLAN_VERSION}"
        )),
        _ => serde_json::from_str(text).map_err(|error| error.to_string()),
    }
}

/// The project in the target that a plan is for. Fails if another one is named.
pub fn in_target(project: Project, plan: &Plan, given: Option<&str>) -> Result<Project, Failure> {
    let target = plan.target.as_ref();
    let name = target.map(|target| target.name.as_str());
    check_target(given, name)?;
    let sample = target.and_then(|target| target.sample.clone());
    let select = Wanted::of_plan(plan).select;
    targets::enter(project, name, &select, Unselected::All, sample)
}

fn check_target(given: Option<&str>, planned: Option<&str>) -> Result<(), Failure> {
    if given.is_none() || given == planned {
        return Ok(());
    }
    Err(Failure::hinted(
        match planned {
            Some(name) => format!("the plan was made for target {name}"),
            None => "the plan was made for production".to_owned(),
        },
        "leave out --target, or make a new plan with `chronon-run plan --target NAME --out FILE`",
    ))
}

/// Fails if a plan made now differs.
pub fn check_unchanged(saved: &Plan, fresh: &Plan) -> Result<(), Failure> {
    let differences = saved.differences(fresh);
    if differences.is_empty() {
        return Ok(());
    }
    let lines = differences.iter();
    let lines: Vec<String> = lines.map(|difference| format!("  {difference}")).collect();
    Err(Failure::hinted(
        format!("the plan no longer fits:\n{}", lines.join("\n")),
        "make a new one with `chronon-run plan --out FILE`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_looked_at_before_anything_else() {
        let other = PLAN_VERSION + 1;
        let wanted =
            format!("it has version {other}, this chronon-run reads version {PLAN_VERSION}");
        let text = format!(r#"{{"version": {other}}}"#);
        assert_eq!(parse(&text).unwrap_err(), wanted);
        assert_eq!(parse(&format!("\u{feff}{text}")).unwrap_err(), wanted);
        let same = format!(r#"{{"version": {PLAN_VERSION}}}"#);
        assert!(parse(&same).unwrap_err().starts_with("missing field"));
        assert!(parse("x").unwrap_err().starts_with("expected value"));
    }

    #[test]
    fn a_plan_is_run_in_its_own_target() {
        assert!(check_target(None, Some("dev")).is_ok());
        assert!(check_target(Some("dev"), Some("dev")).is_ok());
        let other = check_target(Some("other"), Some("dev")).unwrap_err();
        assert_eq!(other.text(), "the plan was made for target dev");
        let production = check_target(Some("dev"), None).unwrap_err();
        assert_eq!(production.text(), "the plan was made for production");
    }
}
