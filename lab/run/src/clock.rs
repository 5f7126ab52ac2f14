// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine's time: the host's, less what the host lets the machine wait for a CPU.
//!
//! How long a scenario may take is said for a host that has a CPU for each of the machine's. On a busy one the machine
//! takes as long in this time, and longer on the wall. CPU time alone would not do: a machine that waits for what never
//! comes uses none, and has to be ended as well.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Asking Linux costs something, and a machine may talk a lot.
const LOOK: Duration = Duration::from_millis(10);

/// The time of a process.
#[derive(Debug)]
pub struct Clock {
    /// Where Linux tells of the threads of the process; elsewhere nothing is there, and time is the wall's.
    threads: PathBuf,
    /// By thread, how long it had waited.
    waited: HashMap<String, Duration>,
    looked: Instant,
    time: Duration,
}

impl Clock {
    /// Begins at 0.
    pub fn of(process: u32) -> Self {
        Self::reading(Path::new("/proc").join(process.to_string()).join("task"))
    }

    fn reading(threads: PathBuf) -> Self {
        let mut clock = Self { threads, waited: HashMap::new(), looked: Instant::now(), time: Duration::ZERO };
        clock.longest_wait();
        clock
    }

    /// Tells the time, give or take the 10 ms between two looks.
    pub fn now(&mut self) -> Duration {
        let now = Instant::now();
        if now - self.looked >= LOOK {
            let wall = now - std::mem::replace(&mut self.looked, now);
            let waited = self.longest_wait();
            self.time += wall.saturating_sub(waited);
        }
        self.time
    }

    /// Says how long the thread that waited longest did so since this was last asked.
    fn longest_wait(&mut self) -> Duration {
        let mut longest = Duration::ZERO;
        for thread in std::fs::read_dir(&self.threads).into_iter().flatten().flatten() {
            let name = thread.file_name().to_string_lossy().into_owned();
            // A thread that has just ended tells nothing.
            let told = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            if let Some(waited) = waited(&told) {
                let before = self.waited.insert(name, waited).unwrap_or_default();
                longest = longest.max(waited.saturating_sub(before));
            }
        }
        longest
    }
}

/// Reads Linux's `schedstat`: nanoseconds on a CPU, nanoseconds waiting for one, times that it got one.
fn waited(told: &str) -> Option<Duration> {
    told.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::thread::sleep;
    use tempfile::TempDir;

    /// Times of tests are compared with less than this, which tells them apart on any host.
    const HOUR: Duration = Duration::from_secs(3600);

    fn tell(folder: &TempDir, thread: &str, waited: Duration) {
        fs::create_dir_all(folder.path().join(thread)).unwrap();
        let told = format!("77 {} 5\n", waited.as_nanos());
        fs::write(folder.path().join(thread).join("schedstat"), told).unwrap();
    }

    #[test]
    fn time_in_which_a_thread_waits_for_a_cpu_does_not_count() {
        let folder = TempDir::new().unwrap();
        tell(&folder, "1", 5 * HOUR);
        let mut clock = Clock::reading(folder.path().to_path_buf());
        sleep(2 * LOOK);
        let before = clock.now();
        assert!(before >= 2 * LOOK, "what it waited before the clock began is no matter: {before:?}");
        tell(&folder, "1", 6 * HOUR);
        sleep(2 * LOOK);
        assert_eq!(clock.now(), before);
        sleep(2 * LOOK);
        assert!(clock.now() > before, "and time goes on");
    }

    #[test]
    fn of_two_threads_the_one_counts_that_waited_longer() {
        let folder = TempDir::new().unwrap();
        let mut clock = Clock::reading(folder.path().to_path_buf());
        tell(&folder, "1", Duration::from_secs(1));
        tell(&folder, "2", Duration::from_secs(3));
        assert_eq!(clock.longest_wait(), Duration::from_secs(3));
        tell(&folder, "1", Duration::from_secs(3));
        tell(&folder, "2", Duration::from_secs(4));
        assert_eq!(clock.longest_wait(), Duration::from_secs(2));
        assert_eq!(clock.longest_wait(), Duration::ZERO);
    }

    #[test]
    fn where_nothing_is_told_it_is_the_walls_time() {
        let mut clock = Clock::reading("/nonexistent".into());
        sleep(LOOK);
        assert!(clock.now() >= LOOK);
        assert_eq!(waited("garbage"), None);
    }

    /// Kernels that don't count (`CONFIG_SCHED_INFO`) have no such file.
    #[test]
    fn linux_tells_of_every_thread() {
        if !Path::new("/proc/self/schedstat").exists() {
            return;
        }
        let (told, done) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || done.recv());
        let mut clock = Clock::of(std::process::id());
        assert!(clock.waited.len() > 1);
        assert!(clock.now() < HOUR);
        drop(told);
        assert!(other.join().unwrap().is_err());
    }
}
