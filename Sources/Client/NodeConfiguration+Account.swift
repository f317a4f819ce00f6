import ShaCache
import System

/// What a machine's configuration says once it has an account.
extension NodeConfiguration {
    /// Where Debian's ca-certificates keeps the authorities that every system knows.
    private static let systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

    /// The file of the key by which this machine proves its account: as the configuration names it, or beside it.
    var accountKeyFile: String { self[.cacheKeyFile] ?? besideConfiguration("shacache.key") }

    /// The file of its certificate.
    var accountCertificateFile: String { self[.cacheCertificateFile] ?? besideConfiguration("shacache.crt") }

    private func besideConfiguration(_ name: String) -> String { "\(path.directoryPrefix)ssl/\(name)" }

    /// Writes where to download and upload, and how to prove the account, into the configuration; makes it if need be. What
    /// is set there already stays.
    ///
    /// - Parameters:
    ///   - downloads: where nodes download, without a slash at the end.
    ///   - uploads: where builders upload.
    /// - Returns: the options that have other URLs, and stay.
    func write(downloads: String, uploads: String) throws -> [String] {
        let (certificate, key) = (try absolute(accountCertificateFile), try absolute(accountKeyFile))
        let authority = try self[.cacheAuthorityFile].map(absolute) ?? Self.systemAuthorities
        let files: [(ConfigurationOption, String)] = [
            (.cacheAuthorityFile, authority), (.cacheCertificateFile, certificate), (.cacheKeyFile, key),
            (.directoryAuthorityFile, authority), (.directoryCertificateFile, certificate), (.directoryKeyFile, key),
        ]
        let urls: [(ConfigurationOption, String)] = Use.allCases.flatMap { use in
            [(Direction.download, downloads), (.upload, uploads)].flatMap { direction, url in
                [
                    (Self.option(direction, .cache, for: use), "\(url)/shacache"),
                    (Self.option(direction, .directory, for: use), "\(url)/shadir"),
                ]
            }
        }
        let inFile = try NodeConfiguration(file: path, mayBeMissing: true)
        let lacking = (files + urls).filter { option, _ in inFile[option] == nil }
        if !lacking.isEmpty { try replaceFile(setting: lacking.map { option, value in (option.rawValue, value) }) }
        return urls.filter { option, url in ![nil, url].contains(inFile[option]) }.map { option, _ in option.rawValue }
    }

    private func replaceFile(setting options: [(name: String, value: String)]) throws {
        let old = exists(path) ? try contentsOfFile(path) : []
        let new = OptionFile(String(fileName: old)).text(setting: options, in: "networkcache")
        try makeDirectories(path.parentDirectory)
        let part = try PartialDownload(for: Destination(path))
        do {
            try new.fileNameBytes.withUnsafeBytes { try part.file.descriptor.writeAll($0) }
            try part.deliver()
        } catch {
            part.discard()
            throw error
        }
    }

    private func absolute(_ path: String) throws -> String {
        "\(try realPath(path.parentDirectory))/\(path.lastPathComponent)"
    }
}
