//! The log file: it makes way when it is full, so that the disk it takes is bounded, and goes on in a new file when
//! somebody moved it away.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::LogConfig;

/// A file for whole lines. It and those that it was before (`NAME.1`, the newest, to `NAME.N`) hold `bytes_max` each
/// at most, or one line if that is longer.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// 0: no bound.
    bytes_max: u64,
    /// This one and those before it.
    count_max: u32,
}

impl LogFile {
    /// Opens the file at `path` for appending, turned over as `config` says.
    pub(super) fn open(path: &Path, config: &LogConfig) -> io::Result<Self> {
        let (bytes_max, count_max) = (config.file_bytes_max.0, config.file_count_max);
        Ok(Self { path: path.to_owned(), file: open(path)?, bytes_max, count_max })
    }

    /// Sees to it that `more` bytes have room in the file that bears the name. The name is looked up each time: whoever
    /// moves the file away, logrotate for one, need not tell us, and another process that turns it over neither.
    fn make_room(&mut self, more: u64) -> io::Result<()> {
        let named = fs::metadata(&self.path).ok();
        let Some(named) = named.filter(|named| self.file.metadata().is_ok_and(|open| is_same(named, &open))) else {
            self.file = open(&self.path)?;
            return Ok(());
        };
        let (is_empty, is_full) = (named.len() == 0, named.len().saturating_add(more) > self.bytes_max);
        if self.bytes_max == 0 || is_empty || !is_full {
            return Ok(());
        }
        // Where files cannot be moved, what is there goes: a full disk would end more than the log.
        self.turn_over().or_else(|_| self.file.set_len(0))
    }

    /// Moves every file to the next number, which the last one does not outlive, and begins a new one.
    fn turn_over(&mut self) -> io::Result<()> {
        if self.count_max <= 1 {
            return self.file.set_len(0);
        }
        for number in (1..self.count_max - 1).rev() {
            match fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))?;
        self.file = open(&self.path)?;
        Ok(())
    }
}

/// What is written at once is one line: that is how the log writes.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A file that cannot be opened anew is no reason to lose the line: the old one may still take it.
        let _ = self.make_room(line.len() as u64);
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Opens for appending, readable by its owner only: a log says who works on what.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere an open file cannot be moved away.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Bytes;

    /// A file that holds two lines of ten bytes, of `count` files, in a folder of its own.
    fn small(count: u32) -> (tempfile::TempDir, PathBuf, LogFile) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("it.log");
        let config = LogConfig { file_bytes_max: Bytes(20), file_count_max: count, ..LogConfig::default() };
        let file = LogFile::open(&path, &config).unwrap();
        (scratch, path, file)
    }

    fn write(file: &mut LogFile, numbers: std::ops::RangeInclusive<u32>) {
        numbers.for_each(|number| file.write_all(format!("line {number:04}\n").as_bytes()).unwrap());
    }

    /// Every file in the folder, by name.
    fn all(scratch: &tempfile::TempDir) -> Vec<(String, String)> {
        let read =
            |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
        let mut all: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| read(entry.unwrap())).collect();
        all.sort();
        all
    }

    fn told(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_full_file_makes_way_and_the_oldest_goes() {
        let (scratch, _, mut file) = small(3);
        write(&mut file, 1..=9);
        let expected =
            [("it.log", "line 0009\n"), ("it.log.1", "line 0007\nline 0008\n"), ("it.log.2", "line 0005\nline 0006\n")];
        assert_eq!(all(&scratch), told(&expected));
    }

    #[test]
    fn a_single_file_begins_anew() {
        let (scratch, _, mut file) = small(1);
        write(&mut file, 1..=3);
        assert_eq!(all(&scratch), told(&[("it.log", "line 0003\n")]));
    }

    #[test]
    fn a_line_that_is_longer_than_a_file_is_written_whole() {
        let (scratch, _, mut file) = small(2);
        write(&mut file, 1..=1);
        file.write_all(b"a line of more than twenty bytes\n").unwrap();
        write(&mut file, 2..=2);
        let expected = [("it.log", "line 0002\n"), ("it.log.1", "a line of more than twenty bytes\n")];
        assert_eq!(all(&scratch), told(&expected));
    }

    #[test]
    fn without_a_bound_it_grows() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("it.log");
        let config = LogConfig { file_bytes_max: Bytes(0), ..LogConfig::default() };
        write(&mut LogFile::open(&path, &config).unwrap(), 1..=100);
        assert_eq!((all(&scratch).len(), path.metadata().unwrap().len()), (1, 1000));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let (scratch, path, mut file) = small(3);
        write(&mut file, 1..=1);
        fs::rename(&path, scratch.path().join("kept-by-logrotate")).unwrap();
        write(&mut file, 2..=2);
        assert_eq!(all(&scratch), told(&[("it.log", "line 0002\n"), ("kept-by-logrotate", "line 0001\n")]));
    }

    #[cfg(unix)]
    #[test]
    fn two_processes_may_share_it() {
        let (scratch, path, mut one) = small(3);
        let config = LogConfig { file_bytes_max: Bytes(20), file_count_max: 3, ..LogConfig::default() };
        let mut other = LogFile::open(&path, &config).unwrap();
        for number in 1..=4 {
            write(if number % 2 == 0 { &mut one } else { &mut other }, number..=number);
        }
        assert_eq!(
            all(&scratch),
            told(&[("it.log", "line 0003\nline 0004\n"), ("it.log.1", "line 0001\nline 0002\n")])
        );
    }

    #[cfg(unix)]
    #[test]
    fn every_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (scratch, _, mut file) = small(3);
        write(&mut file, 1..=9);
        for entry in fs::read_dir(scratch.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn where_files_cannot_be_moved_the_disk_is_bounded_all_the_same() {
        let (scratch, path, mut file) = small(2);
        // A folder that is not empty stands where the old file should go.
        fs::create_dir_all(numbered(&path, 1).join("in-the-way")).unwrap();
        write(&mut file, 1..=3);
        assert_eq!(fs::read_to_string(&path).unwrap(), "line 0003\n");
        drop(scratch);
    }
}
