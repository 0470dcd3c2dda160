//! Bugs planted on purpose, none of them in the product's own code: in the file, in the ports around it, or in the hands
//! that drive it. A simulation that does not find them finds nothing else either.

use std::any::Any;

use issuecommand::store::ClaimChange;

/// One planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    // Agents and claims.
    /// An issue that is held is given to whoever asks for it by number: the database's lock does not hold.
    LockDoesNotHold,
    /// The epochs of an issue begin anew with each grant.
    EpochReset,
    /// Who held a claim before can still move it.
    FormerOwnerWrites,
    /// Who holds a claim again can move it by the word of an earlier epoch.
    EpochIgnored,
    /// An event of a release is lost.
    EventLost,
    /// The index does not hear of every third claim that ends.
    ChangeLostToIndex,
    // Crashes.
    /// What was acknowledged last is not on the disk when the process is killed.
    WriteNotDurable,
    /// A claim is forgotten when the file is opened anew.
    ClaimForgottenAtReopen,
    // GitHub.
    /// A list that breaks off after one page says that it is whole.
    CutListToldAsWhole,
    /// A page shows issues as they first were, as if that were today.
    OldPageToldAsNew,
    /// What could not be read is taken for what is not there.
    FailureToldAsAbsence,
    // Policies.
    /// A new set is said to be in force, and the old one is.
    SwapNotTaken,
    /// A set is said to be refused, and what it would admit is admitted.
    RefusedTaken,
    // Time.
    /// A jump of the clock is not noticed.
    JumpUnnoticed,
    /// The server takes its start for a time long ago.
    StartWithoutGrace,
    // The store.
    /// Writes that the disk had no room for are said to be done.
    FailureToldAsDone,
    /// When the disk is full an event is left out, and its claim written all the same.
    EventLeftOutWhenFull,
}

impl Fault {
    /// Every one of them, by what it is planted in.
    pub const ALL: [(&'static str, &'static [Self]); 6] = [
        (
            "agents and claims",
            &[
                Self::LockDoesNotHold,
                Self::EpochReset,
                Self::FormerOwnerWrites,
                Self::EpochIgnored,
                Self::EventLost,
                Self::ChangeLostToIndex,
            ],
        ),
        ("crashes", &[Self::WriteNotDurable, Self::ClaimForgottenAtReopen]),
        ("GitHub", &[Self::CutListToldAsWhole, Self::OldPageToldAsNew, Self::FailureToldAsAbsence]),
        ("policies", &[Self::SwapNotTaken, Self::RefusedTaken]),
        ("time", &[Self::JumpUnnoticed, Self::StartWithoutGrace]),
        ("the store", &[Self::FailureToldAsDone, Self::EventLeftOutWhenFull]),
    ];

    /// A disk that is full, as writers meet it.
    pub const DISK_IS_FULL: &'static str = "CREATE TRIGGER disk_is_full BEFORE INSERT ON events \
         BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END";

    /// What is planted in the file itself.
    pub fn in_the_file(self) -> Option<&'static str> {
        Some(match self {
            Self::LockDoesNotHold => {
                "CREATE TRIGGER planted BEFORE INSERT ON claims BEGIN UPDATE claims SET active = 0 \
                 WHERE repo = NEW.repo AND number = NEW.number AND active = 1; END"
            }
            Self::EpochReset => {
                "CREATE TRIGGER planted AFTER UPDATE OF epoch ON lease_epochs WHEN NEW.epoch > 1 BEGIN \
                 UPDATE lease_epochs SET epoch = 1 WHERE repo = NEW.repo AND number = NEW.number; END"
            }
            Self::EventLost => {
                "CREATE TRIGGER planted AFTER INSERT ON events WHEN NEW.record LIKE '%\"claim.released\"%' \
                 BEGIN DELETE FROM events WHERE seq = NEW.seq; END"
            }
            _ => return None,
        })
    }

    /// How a full disk is met under this fault.
    pub fn when_full(self) -> &'static str {
        match self {
            Self::EventLeftOutWhenFull => {
                "CREATE TRIGGER disk_is_full AFTER INSERT ON events BEGIN DELETE FROM events WHERE seq = NEW.seq; END"
            }
            _ => Self::DISK_IS_FULL,
        }
    }
}

/// What a planted fault may change on the way into the store: nothing, most of the time.
pub fn tamper<T: Any>(fault: Option<Fault>, mut argument: T) -> T {
    if let Some(change) = (&mut argument as &mut dyn Any).downcast_mut::<ClaimChange>() {
        match fault {
            Some(Fault::FormerOwnerWrites) => change.owner = None,
            Some(Fault::EpochIgnored) => change.epoch = None,
            _ => {}
        }
    }
    argument
}
