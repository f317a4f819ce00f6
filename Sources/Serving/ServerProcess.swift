public import FastCGI
import Glibc
public import Logging
public import Metrics

/// What server processes have in common: the log, the signals that end one, and where their figures are shown.
public struct ServerProcess {
    public let log: Logger
    /// libfcgi would accept nothing any more after a SIGUSR1, so that means the same.
    private let ending = SignalSet(SIGTERM, SIGINT, SIGUSR1)

    /// Before any thread is started: signals are waited for, never handled in the middle of something.
    ///
    /// - Parameter name: of the program.
    public init(_ name: String, logLevel: Logger.Level) {
        log = Logger(label: name) { _ in JSONLogHandler(logLevel: logLevel) }
        ending.block()
        // The kernel sends it to whoever holds a lease (fcntl(2), F_SETLEASE) on a file that another process opens: to a
        // worker that sweeps the spool while a backup reads it, say.
        signal(SIGIO, SIG_IGN)
    }

    /// Figures must never keep a process from its work: without a slot for them, they are seen in it alone.
    ///
    /// - Parameters:
    ///   - path: of the directory in which the processes of a host share them.
    ///   - version: of the program.
    /// - Returns: the directory, too, unless that could not be used.
    public func recorder(in path: String, version: String) -> (recorder: Recorder, directory: MetricsDirectory?) {
        let directory = MetricsDirectory(directory: path)
        do {
            return (try directory.takeSlot(version: version), directory)
        } catch {
            log.warning("metrics not shared", metadata: ["cause": "\(error)"])
            return (Recorder.alone(version: version), nil)
        }
    }

    /// Returns when a signal has come, and the threads have answered what they had accepted.
    ///
    /// systemd is told when the threads take requests, when they take no more, and in between that they get on (sd_notify(3)).
    ///
    /// - Parameters:
    ///   - interval: of the upkeep.
    ///   - upkeep: done at once, and then in each interval, beside the requests; nil: there is none.
    /// - Throws: when the system has no thread for the upkeep.
    public func serve(
        with threads: ThreadPool, every interval: Duration = .seconds(3600), _ upkeep: (@Sendable () -> Void)? = nil
    ) throws {
        let systemd = SystemdNotifier()
        let upkeep = try upkeep.map { try Upkeep(every: interval, $0) }
        threads.waitUntilAccepting()
        systemd.tell(.ready)
        log.info("started")
        // As sd_watchdog_enabled(3) advises.
        let pause = systemd.watchdogTimeout.map { $0 / 2 } ?? .seconds(Int32.max)
        while !ending.arrive(within: pause) { tellWhetherAlive(threads, systemd) }
        systemd.tell(.stopping)
        log.info("draining")
        threads.finish()
        upkeep?.finish()
        log.info("stopped")
    }

    /// Of 24 threads of a worker, one that waits for a slow disk is no reason to end it, nor are all for some minutes.
    private func tellWhetherAlive(_ threads: ThreadPool, _ systemd: SystemdNotifier) {
        let stall = threads.stall
        guard stall < Self.stallLimit else {
            let seconds = Int(stall / .seconds(1))
            return log.critical("hangs", metadata: ["seconds": .stringConvertible(seconds)])
        }
        systemd.tell(.alive)
    }

    /// How long all threads of a socket may be at their requests before they count as hanging: as long as a worker may take to
    /// finish what it has begun (TimeoutStopSec of shacached@.service). Hashing the largest image takes minutes.
    private static let stallLimit = Duration.seconds(15 * 60)
}
