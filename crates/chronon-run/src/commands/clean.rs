//! `chronon-run clean`: removes the state folder of a workspace, after asking.

use chronon_run_project::{
    cleaning::{Cleaning, inventory_text},
    failure::Failure,
    loading::{here::required_workspace, state},
    output::{agreed, note, print},
};
use chronon_run_report::size;

use crate::cli::CleanArgs;

pub(crate) fn run(args: &CleanArgs) -> Result<(), Failure> {
    let workspace = required_workspace()?;
    // A copied workspace gets a state of its own first.
    state::settle(&workspace)?;
    let cleaning = Cleaning::new(&workspace, args.all);
    let Some(inventory) = cleaning.inventory()? else {
        return print("nothing to remove: there is no state folder\n");
    };
    if inventory.remove.is_empty() {
        return print("nothing to remove\n");
    }
    let state = workspace.state_dir.display();
    print(&format!("{state}\n{}", inventory_text(&inventory)))?;
    if args.dry_run {
        return Ok(());
    }
    cleaning.check_unused()?;
    note(cleaning.consequence());
    if !args.yes && !agreed("remove it? [y/N]")? {
        return Err(Failure::setup("nothing was removed"));
    }
    cleaning.remove()?;
    print(&format!(
        "removed {} from {state}\n",
        size(inventory.bytes())
    ))
}
