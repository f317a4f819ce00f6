import ArgumentParser
import Client
import Glibc
import ShaCache
import System

struct Shacache: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shacache",
        abstract: "Puts software into a network cache and gets it out again, with every byte and signature checked.",
        discussion: """
            Reads the configuration that slapgrid has, /etc/opt/slapos/slapos.cfg; `shacache config` shows what is in \
            force, `shacache doctor` whether it works.

            Exit codes: 0 done, 1 misuse (arguments or configuration), 2 failed, 3 not in the cache, 4 there but not \
            trusted, 5 the cache can't be reached. Data goes to standard output, talk to standard error. Proxies are \
            those of http_proxy, https_proxy and no_proxy; large temporary files lie in TMPDIR, else in /var/tmp. How long a \
            silent cache is waited for, in seconds, SHACACHE_TIMEOUT may say.
            """,
        version: Version.current,
        subcommands: [
            UploadCommand.self, DownloadCommand.self, LookupCommand.self, WithdrawCommand.self, BinaryCacheCommand.self,
            AccountCommand.self, GenerateSignatureKeyCommand.self, DoctorCommand.self, ConfigCommand.self,
        ])
}

@main
enum Main {
    static func main() {
        // A reader that has gone is an error of the write, which says more.
        signal(SIGPIPE, SIG_IGN)
        holdStandardDescriptors()
        let arguments = Array(processArguments.dropFirst())
        switch processArguments.first?.lastPathComponent {
        case "networkcache-upload": deployed(NetworkcacheUpload.self, arguments)
        case "networkcache-download": deployed(NetworkcacheDownload.self, arguments)
        case "generate-signature-key": deployed(DeployedGenerateSignatureKey.self, arguments)
        default: run(Shacache.self, arguments, misuse: .misuse)
        }
        end(.done)
    }

    /// Opens what was closed of standard input, output and error, so that no other file gets its number, and what is
    /// said gets into it. Using it fails as before.
    private static func holdStandardDescriptors() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number, which is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// Ends without exit handlers. OpenSSL's and Swift's free what a thread still uses that isn't joined: one that
    /// sends what turned out to be needless, for example.
    private static func end(_ status: ExitStatus) -> Never {
        fflush(nil)
        _exit(status.rawValue)
    }

    /// Runs a command; help and completion scripts are no failure.
    private static func run(
        _ root: (some ParsableCommand).Type, _ arguments: [String], misuse: ExitStatus
    ) {
        do {
            var command = try root.parseAsRoot(arguments)
            try command.run()
        } catch let ended as ExitError {
            end(ended.status)
        } catch {
            guard root.exitCode(for: error) != .success else { root.exit(withError: error) }
            sayOnStandardError("\(withoutCredentials(in: root.fullMessage(for: error)).shownFileName)\n")
            if root == Shacache.self, let first = arguments.first, first.hasPrefix("-") {
                sayOnStandardError(
                    "shacache: hint: options stand behind the subcommand: shacache lookup --config ...\n")
            }
            end(misuse)
        }
    }

    /// Runs a command as the deployed clients' script of that name does: 2 for wrong arguments, 1 for all else.
    private static func deployed(_ root: (some DeployedCommand).Type, _ arguments: [String]) {
        run(root, root.expandingAbbreviations(arguments), misuse: .failed)
    }
}

/// The exit codes; `shacache help` lists them.
enum ExitStatus: Int32 {
    case done = 0
    case misuse = 1
    case failed = 2
    case missing = 3
    case untrusted = 4
    case unreachable = 5

    init(_ error: any Error) {
        self =
            switch error {
            case is UsageError, is Unconfigured: .misuse
            case CacheFailure.missing: .missing
            case CacheFailure.untrusted: .untrusted
            case CacheFailure.unreachable, CacheFailure.troubled, CacheFailure.malformed: .unreachable
            case let stated as ExitError: stated.status
            default: .failed
            }
    }

    /// Of several pieces of work: what all that failed have in common.
    init(_ statuses: [ExitStatus]) {
        let failures = Set(statuses.filter { $0 != .done })
        self = failures.count > 1 ? .failed : failures.first ?? .done
    }
}

/// The command is over, and has said why.
struct ExitError: Error {
    let status: ExitStatus
}
