import Client
public import OpenSSL
import ShaCache
import System

extension ImportSource {
    /// Any directory: each file below it becomes a blob.
    ///
    /// - Parameters:
    ///   - urls: a file with a line for each download, `URL` or `URL TAB PATH`: what is listed by its URL as the deployed
    ///     clients look for it. Without a path below the directory, the file has the name that the URL ends with.
    ///   - key: signs these entries; nil leaves them unsigned.
    public static func tree(_ directory: String, urls: String?, signedWith key: PrivateKey?) throws -> ImportSource {
        var phases: [any ImportPhase] = [try BlobFiles(in: directory, goesDown: true, naming: .free)]
        if let urls { phases.append(try SourceURLs(urls, of: directory, signedWith: key)) }
        return ImportSource(phases: phases)
    }
}

/// A list of URLs, and of the files that were got from there. In order: a URL may occur twice.
struct SourceURLs: ImportPhase {
    let isOrdered = true
    private let directory: String
    private let signingKey: PrivateKey?
    private let lines: Monitor<LineReader>

    init(_ list: String, of directory: String, signedWith key: PrivateKey?) throws {
        self.directory = directory
        signingKey = key
        lines = Monitor(LineReader(try Descriptor(list)))
    }

    func begin(_ importer: Importer) -> () throws -> Bool {
        return {
            guard let line = try lines.wait(for: { .some(try $0.next()) }) else { return false }
            guard !line.isEmpty else { return true }
            try importer.ledger.attempt(withoutCredentials(String(decoding: line, as: UTF8.self))) {
                let download = try ListedDownload(line)
                let digest = try importer.storeFile("\(directory)/\(download.path)", as: nil)
                let entry = try Entry.source(url: download.url, naming: digest, signedWith: signingKey)
                try importer.store(entry, under: Key.source(url: download.url))
            }
            return true
        }
    }
}

/// A line of such a list.
struct ListedDownload: Equatable {
    let url: String
    /// Of the file, below the directory.
    let path: String

    init(_ line: [UInt8]) throws {
        let parts = line.split(separator: UInt8(ascii: "\t"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let url = String(validating: parts[0], as: UTF8.self), url.contains("://") else {
            throw UnfitItem("is no URL")
        }
        self.url = url
        path = parts.count > 1 ? String(fileName: Array(parts[1])) : Self.name(in: url)
        guard !path.isEmpty, !path.hasPrefix("/"),
            !path.utf8.split(separator: UInt8(ascii: "/")).contains(where: { $0.elementsEqual("..".utf8) })
        else {
            throw UnfitItem("names no file below the directory")
        }
    }

    private static func name(in url: String) -> String {
        String(withoutCredentials(url).prefix { $0 != "?" && $0 != "#" }).lastPathComponent
    }
}
