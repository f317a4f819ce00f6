import ArgumentParser
import OpenSSL
import ShaCache
import Storage

struct RequestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request", abstract: "Who asks for an account (shacache account request).",
        discussion: """
            Where [account-requests] is enabled, anybody may ask, and nobody has proved to be who the contact says. shacache \
            says the key to who asks, as `request list` shows it: compare them on another way before you approve.
            """,
        subcommands: [RequestList.self, RequestApprove.self, RequestRefuse.self])

    struct RequestList: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the requests that wait, with where they came from.",
            discussion: """
                The column account says whether there is one of that name already: then it is another machine of the same \
                account that asks, or somebody else.
                """)
        @OptionGroup var options: AdminOptions
        @Flag(help: "Also those that are decided, as long as they are kept.")
        var all = false

        func run() throws {
            let requests = try AccountRequests(options.session()).table(all: all)
            try options.show(options.json ? requests : requests.withoutEmptyColumns())
        }
    }

    struct RequestApprove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "approve", abstract: "Make the account and a certificate for the key that was sent.",
            discussion: """
                Who asked gets the certificate by `shacache account fetch`. Without options the account may do what \
                `account add` lets it.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "As request list shows it.") var number: Int
        @Option(help: "Another name for the account than was asked for.")
        var account: String?
        @Flag(help: "The account is there: its owner asks for the key of another machine, or for a new one.")
        var existing = false
        @OptionGroup(title: "What a new account may do") var settings: AccountOptions
        @OptionGroup var validity: Validity

        func validate() throws {
            guard !existing || settings.isEmpty else {
                throw ValidationError("--existing changes nothing of the account: account set does")
            }
        }

        func run() throws {
            let configuration = try options.configuration()
            let session = try options.session()
            let requests = AccountRequests(session)
            let request = try requests.waiting(number)
            let name = account ?? request.name
            try checkWhetherThere(name, session)
            let authority = try configuration.authority()
            let certificate = try authority.sign(
                CertificateRequest(pem: Array(request.signingRequest.utf8)), commonName: name, days: validity.days)
            let alter: ((inout Account) -> Void)? = existing ? nil : { settings.alter(&$0) }
            try requests.approve(request, as: name, with: certificate, by: options.actor, alter: alter)
            options.report("account \(name): request \(number) of \(request.contact) approved")
            options.reportEnd(of: certificate, from: authority)
            if !existing { options.journal { try $0.append(account: name, session) } }
        }

        /// Before the authority's passphrase is asked for.
        private func checkWhetherThere(_ name: String, _ session: Session) throws {
            let isThere = try !Accounts(session).table(named: name).rows.isEmpty
            guard isThere != existing else { return }
            throw CommandError(
                isThere
                    ? """
                    there is an account \(name) already
                    hint: --existing gives it this key, too, when its owner asks; --account NAME makes another
                    """
                    : "there is no account \(name)")
        }
    }

    struct RequestRefuse: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "refuse", abstract: "Turn a request down: who asked is told why.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "As request list shows it.") var number: Int
        @Option(help: "Why, in a line: who asked is told.", transform: reasonOption) var reason: Reason

        func run() throws {
            let requests = AccountRequests(try options.session())
            let request = try requests.waiting(number)
            try requests.refuse(request, because: reason, by: options.actor)
            options.report("request \(number) of \(request.contact) refused")
        }
    }
}
