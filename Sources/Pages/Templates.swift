import Foundation
import Mustache
import OpenSSL
import ShaCache

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
