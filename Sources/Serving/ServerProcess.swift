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
    /// - Parameters:
    ///   - interval: in seconds.
    ///   - upkeep: done at once, and then in each interval.
    public func serve(with threads: ThreadPool, every interval: Int = Int(Int32.max), _ upkeep: () -> Void = {}) {
        log.info("started")
        repeat { upkeep() } while !ending.arrive(withinSeconds: interval)
        log.info("draining")
        threads.finish()
        log.info("stopped")
    }
}
