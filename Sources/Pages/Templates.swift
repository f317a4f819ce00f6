import Foundation
import Mustache
import OpenSSL
import ShaCache
import Storage

/// The files that pages are made of: templates and the style, read once.
public struct Templates: Sendable {
    private let library: MustacheLibrary
    let style: String
    let styleVersion: String

    /// What a template is rendered with: texts, numbers, truths, lists of the same.
    typealias Model = [String: Any]

    /// - Parameter directory: with `*.mustache` and `style.css`.
    public init(directory: String) throws {
        MustacheContentTypes.register(Markup(), named: Self.contentType)
        let suffix = ".mustache"
        var templates: [String: MustacheTemplate] = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: directory) where file.hasSuffix(suffix) {
            let text = try String(contentsOfFile: "\(directory)/\(file)", encoding: .utf8)
            // In every one: a partial without it would use Mustache's own escaping.
            templates[String(file.dropLast(suffix.count))] = try MustacheTemplate(
                string: "{{% CONTENT_TYPE:\(Self.contentType)}}\(text)")
        }
        library = MustacheLibrary(templates: templates)
        style = try String(contentsOfFile: "\(directory)/style.css", encoding: .utf8)
        styleVersion = Self.version(of: style)
    }

    /// Changes with a file that pages name, so that browsers may keep it for ever.
    static func version(of text: String) -> String { String(hex(Hash.digest(.sha256, of: text.utf8)).prefix(16)) }

    private static let contentType = "MARKUP"

    func render(_ name: String, _ model: Model) -> String {
        guard let text = library.render(model, withTemplate: name) else {
            preconditionFailure("the template \(name) is missing")
        }
        return text
    }
}

/// What templates show of entries and blobs.
extension Pages {
    func mayName(_ view: View) -> Bool { site.showsAccounts || view.visitor.isOperator }

    func entryModel(_ entry: EntrySummary, _ view: View) -> Templates.Model {
        var model: Templates.Model = [
            "number": String(entry.id), "href": "\(PageRoute.root)/entry/\(entry.id)",
            "key": entry.key.shown(),
            "hash": entry.sha512.description, "blobHref": "\(PageRoute.root)/blob/\(entry.sha512)",
            "band": ["svg": HashGlyph.svg(entry.sha512.description)],
            "created": Format.time(entry.createdAt, now: view.now),
            "isVerified": entry.signatureResult == "verified", "isUnsigned": entry.signatureResult == "unsigned",
            "isUnknown": entry.signatureResult == "unknown signer", "isHidden": entry.isHidden,
        ]
        let isKeyShown = !entry.key.hasCredentials
        model["keyHref"] = orNone(isKeyShown ? Self.href(ofKey: entry.key) : nil)
        model["json"] = orNone(isKeyShown ? "/shadir/\(percentEncoded(entry.key))" : nil)
        model["signer"] = orNone(entry.signer)
        model["revoked"] = orNone(entry.signerRevokedAt.map { Format.time($0, now: view.now) })
        model["software"] = orNone(entry.softwareURL?.shown())
        model["platform"] = [entry.multiarch, entry.os].compactMap { $0 }.joined(separator: ", ").shown()
        model["hasPlatform"] = entry.multiarch != nil || entry.os != nil
        model["size"] = orNone(entry.blobSize.map(Format.bytes))
        model["isBlobHidden"] = entry.isBlobHidden
        model["account"] = orNone(mayName(view) ? entry.account : nil)
        model["withdrawal"] = orNone(entry.withdrawal.map { withdrawalModel($0, view) })
        return model
    }

    func blobModel(_ blob: BlobSummary, _ view: View) -> Templates.Model {
        var model: Templates.Model = [
            "hash": blob.sha512.description, "blobHref": "\(PageRoute.root)/blob/\(blob.sha512)",
            "download": "/shacache/\(blob.sha512)", "band": ["svg": HashGlyph.svg(blob.sha512.description)],
            "size": Format.bytes(blob.size), "bytes": Format.plural(blob.size, "byte", "bytes"),
            "created": Format.time(blob.createdAt, now: view.now),
            "referenced": Format.time(blob.lastReferencedAt, now: view.now), "isHidden": blob.isHidden,
        ]
        model["account"] = orNone(mayName(view) ? blob.account : nil)
        model["upstream"] = orNone(blob.upstream)
        model["withdrawal"] = orNone(blob.withdrawal.map { withdrawalModel($0, view) })
        return model
    }

    /// One that entries name, and the store doesn't have.
    func absentBlob(_ digest: Digest) -> Templates.Model {
        [
            "hash": digest.description, "blobHref": "\(PageRoute.root)/blob/\(digest)",
            "band": ["svg": HashGlyph.svg(digest.description)], "isAbsent": true,
        ]
    }

    /// Every name gets a value: for a missing one, Mustache looks in the enclosing contexts.
    private func orNone(_ value: Any?) -> Any { value ?? false }

    private func withdrawalModel(_ withdrawal: WithdrawalSummary, _ view: View) -> Templates.Model {
        [
            "at": Format.time(withdrawal.at, now: view.now), "by": withdrawal.by.shown(),
            "reason": withdrawal.reason.shown(),
        ]
    }
}

/// Numbers and times as people read them.
enum Format {
    /// With a thin space between thousands, which no line breaks.
    static func count(_ number: Int) -> String {
        let digits = Array(String(number.magnitude))
        let groups = stride(from: digits.count, to: 0, by: -3).map { String(digits[max(0, $0 - 3)..<$0]) }.reversed()
        return (number < 0 ? "−" : "") + groups.joined(separator: "\u{202F}")
    }

    /// In units of 1024.
    static func bytes(_ number: Int) -> String {
        var (value, unit) = (Double(number), 0)
        while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        let text = unit == 0 || value >= 99.5 ? String(Int(value.rounded())) : String((value * 10).rounded() / 10)
        return "\(text)\u{A0}\(units[unit])"
    }

    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    static func plural(_ number: Int, _ one: String, _ many: String) -> String {
        "\(count(number))\u{A0}\(number == 1 ? one : many)"
    }

    /// A point in time, for `<time>` and for people.
    ///
    /// - Parameter seconds: since 1970.
    static func time(_ seconds: Int, now: Int) -> Templates.Model {
        let date = Date(timeIntervalSince1970: Double(seconds))
        let iso = date.formatted(.iso8601)
        return [
            "iso": iso, "text": "\(iso.prefix(10)) \(iso.dropFirst(11).prefix(5)) UTC", "age": age(now - seconds),
        ]
    }

    private static func age(_ seconds: Int) -> String {
        let steps = [
            (31_556_952, "year", "years"), (2_629_746, "month", "months"), (86_400, "day", "days"),
            (3600, "hour", "hours"), (60, "minute", "minutes"),
        ]
        guard let (length, one, many) = steps.first(where: { seconds.magnitude >= $0.0 }) else { return "just now" }
        let span = plural(Int(seconds.magnitude) / length, one, many)
        return seconds < 0 ? "in \(span)" : "\(span) ago"
    }
}
