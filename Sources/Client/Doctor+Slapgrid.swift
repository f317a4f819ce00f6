import HTTP
import System

/// What makes slapgrid wait after a build, half an hour three times, since it can't upload: all of it without the server.
extension Doctor {
    /// What the Python clients need that upload over HTTPS, whatever the server asks for.
    func examineUploadCertificate(_ endpoint: Endpoint, _ option: String, _ service: CacheService) {
        guard endpoint.url.hasPrefix("https:") else { return }
        let prefix = service == .cache ? "shacache" : "shadir"
        let files = [
            ("\(prefix)-cert-file", endpoint.identity.certificateFile),
            ("\(prefix)-key-file", endpoint.identity.keyFile),
        ]
        let missing = files.filter { $0.1 == nil }.map(\.0)
        guard !missing.isEmpty else { return }
        tell(
            .failure(
                option,
                "is https, and \(missing.joined(separator: " and ")) \(missing.count == 1 ? "is" : "are") not set: "
                    + "slapgrid and networkcache-upload fail before they send anything",
                mend: "set \(missing.joined(separator: " and ")); the cache's operator issues certificates"))
    }

    /// What slapgrid runs with, where the configuration is a node's, or its program is here; and what it and the client
    /// go by to know which releases run here.
    func examineSlapgrid() {
        let endpoints = Direction.allCases.flatMap { direction in
            CacheService.allCases.compactMap { service in
                configuration.endpoint(direction, service, for: .binaries).map { (direction, service, $0) }
            }
        }
        guard !endpoints.isEmpty else { return }
        examineDistribution()
        let slapos = found("slapos")
        guard slapos != nil || configuration[.computer] != nil else { return }
        if let slapos {
            examineLibrary(of: slapos)
        } else {
            tell(
                .warning(
                    "slapos", "not on the PATH: what its Python has isn't checked",
                    mend: "call the doctor once more with the PATH that slapgrid runs with"))
        }
        examineCompiler()
        examineBlacklist()
        guard let proxy = proxyOption else { return }
        for (direction, service, endpoint) in endpoints {
            let option = NodeConfiguration.option(direction, service, for: .binaries).rawValue
            examineWayWithout(proxy, endpoint, EndpointChecks.name(for: service), option)
        }
    }

    /// The variable of the environment that names a proxy; nil when none does.
    private var proxyOption: String? {
        ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].first {
            environmentVariable($0) != nil
        }
    }

    /// slapgrid, and the old scripts, use no proxy: what the doctor reaches through one they may not reach.
    private func examineWayWithout(_ proxy: String, _ endpoint: Endpoint, _ name: String, _ option: String) {
        var request = endpoint.request(.get, name)
        // In seconds: a firewall that drops packets gives no answer.
        request.timeouts.connect = 5
        request.watch = SilenceWatch(limit: timeout)
        do {
            _ = try HTTPSession(agent: "shacache doctor", usesProxies: false).send(request)
        } catch {
            tell(
                .failure(
                    option, "can't be reached without \(proxy), and slapgrid uses no proxy: \(error)",
                    mend: "let this machine through to the cache, or name a cache that it reaches"))
        }
    }

    private func examineLibrary(of slapos: String) {
        guard let interpreter = interpreter(of: slapos), interpreter.contains("python") else { return }
        let programs = [
            Self.importing,
            // A script that buildout made has the paths of its packages in itself.
            "import runpy, sys; runpy.run_path(sys.argv[1], run_name=\"doctor\"); \(Self.importing)",
        ]
        let answers = programs.lazy.compactMap { program in
            firstLine(of: "\(interpreter) -c \(quoted(program)) \(quoted(slapos)) </dev/null")
        }
        if let version = answers.first {
            tell(.good(slapos, "runs by Python \(version), which has slapos.libnetworkcache"))
        } else {
            tell(
                .failure(
                    slapos,
                    "runs by \(interpreter), which can't import slapos.libnetworkcache: slapgrid uploads nothing, and doesn't say why",
                    mend: "\(interpreter) -m pip install slapos.libnetworkcache"))
        }
    }

    private static let importing = "import sys, slapos.libnetworkcache; print(sys.version.split()[0])"

    /// Without it neither slapgrid nor the client knows which releases run here.
    private func examineDistribution() {
        do {
            tell(.good("this machine", "is \(try Platform.here())"))
        } catch {
            tell(
                .failure(
                    "this machine", "no release can be chosen for it: \(error)",
                    mend: "mend the file: slapgrid's Python can't read it either"))
        }
    }

    private func examineCompiler() {
        if let machine = Platform.compilerName() { return tell(.good("gcc", machine)) }
        tell(
            .failure(
                "gcc",
                "\(found("gcc") == nil ? "there is no such command" : "gcc -dumpmachine fails"): "
                    + "slapgrid asks it for this machine's name, and else uses no binary cache",
                mend: "install gcc, also where releases come from the binary cache only"))
    }

    private func examineBlacklist() {
        for prefix in configuration.prefixes(.uploadBlacklist) {
            tell(
                .good(
                    NodeConfiguration.ConfigurationOption.uploadBlacklist.rawValue,
                    "no release whose URL begins with \(prefix)"))
        }
    }

    /// A command on the PATH; nil when there is none.
    private func found(_ command: String) -> String? { firstLine(of: "command -v \(command)") }

    /// The interpreter in a script's `#!` line; nil without one.
    private func interpreter(of script: String) -> String? {
        guard let text = try? contentsOfFile(script), text.starts(with: Array("#!".utf8)) else { return nil }
        let line = String(decoding: text.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        return line.trimmed.isEmpty ? nil : line.trimmed
    }

    /// For a shell.
    private func quoted(_ word: String) -> String { "'\(word.replacing("'", with: "'\\''"))'" }
}
