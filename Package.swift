// swift-tools-version: 6.2
import PackageDescription

// `import` without an access level is internal everywhere: what a module shows of another is written out.
// A warning is a mistake that waits.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "ShaCache",
    // Named apart from its target: a directory `shacache` beside `ShaCache` is the same one on some file systems.
    products: [.executable(name: "shacache", targets: ["shacache-client"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    ],
    targets: [
        .systemLibrary(name: "CFastCGI", pkgConfig: "fcgi", providers: [.apt(["libfcgi-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLinux"),

        .target(name: "System", dependencies: ["CLinux"], swiftSettings: settings),
        .target(name: "Metrics", dependencies: ["CLinux", "ShaCache", "System"], swiftSettings: settings),
        .target(name: "FastCGI", dependencies: ["CFastCGI", "CLinux", "System"], swiftSettings: settings),
        .target(name: "Postgres", dependencies: ["CPostgres", "System"], swiftSettings: settings),
        .target(name: "OpenSSL", dependencies: ["COpenSSL"], swiftSettings: settings),

        .target(name: "ShaCache", dependencies: ["OpenSSL"], swiftSettings: settings),
        .target(
            name: "Storage", dependencies: ["ShaCache", "OpenSSL", "Postgres", "CLinux", "Gzip", "System"],
            swiftSettings: settings),
        .target(
            name: "Service", dependencies: ["Metrics", "OpenSSL", "ShaCache", "Storage", "Postgres", "System"],
            swiftSettings: settings),
        .target(
            name: "AccessLog", dependencies: ["CLinux", "Gzip", "OpenSSL", "ShaCache", "Storage", "System"],
            swiftSettings: settings),
        .target(
            name: "Configuration",
            dependencies: [
                "OpenSSL", "Postgres", "ShaCache", "Storage", "System", "TOMLKit",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),

        .target(
            name: "Serving",
            dependencies: [
                "FastCGI", "Metrics", "ShaCache", "System", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),

        .target(
            name: "Pages",
            dependencies: [
                "Configuration", "OpenSSL", "Postgres", "ShaCache", "Storage", "System",
                .product(name: "Mustache", package: "swift-mustache"),
            ],
            swiftSettings: settings),

        .target(
            name: "Fetching",
            dependencies: [
                "CLinux", "Configuration", "FastCGI", "HTTP", "Metrics", "OpenSSL", "Postgres", "ShaCache", "Storage",
                "System", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),

        .target(name: "TextTable", dependencies: ["System"], swiftSettings: settings),
        .target(name: "Gzip", dependencies: ["CZlib", "System"], swiftSettings: settings),
        .target(name: "HTTP", dependencies: ["CCurl", "ShaCache", "System"], swiftSettings: settings),
        .target(name: "Archives", dependencies: ["CArchive", "CLinux", "Gzip", "System"], swiftSettings: settings),
        .target(
            name: "Client",
            dependencies: ["Archives", "CLinux", "HTTP", "OpenSSL", "ShaCache", "System"],
            swiftSettings: settings),

        .target(
            name: "Exchange",
            dependencies: ["CLinux", "Client", "Fetching", "OpenSSL", "ShaCache", "Storage", "System"],
            swiftSettings: settings),

        .executableTarget(
            name: "shacached",
            dependencies: [
                "CLinux", "Configuration", "FastCGI", "Metrics", "OpenSSL", "Postgres", "Service", "Serving",
                "ShaCache", "Storage", "System",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "shacache-page",
            dependencies: [
                "Configuration", "FastCGI", "OpenSSL", "Pages", "Postgres", "Serving", "Storage", "System",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "shacache-fetcher",
            dependencies: [
                "CLinux", "Configuration", "FastCGI", "Fetching", "Metrics", "OpenSSL", "Serving", "Storage", "System",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "shacache-admin",
            dependencies: [
                "AccessLog", "Archives", "Configuration", "Exchange", "Fetching", "HTTP", "OpenSSL", "Serving",
                "ShaCache",
                "Storage", "System", "TextTable",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "shacache-client",
            dependencies: [
                "Client", "OpenSSL", "ShaCache", "System", "TextTable",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),

        .target(
            name: "Fixtures", dependencies: ["OpenSSL", "Postgres", "Storage"], path: "Tests/Fixtures",
            swiftSettings: settings),
        .testTarget(
            name: "ShaCacheTests", dependencies: ["Fixtures", "ShaCache"], exclude: ["comparisons.py", "documents.py"],
            swiftSettings: settings),
        .testTarget(
            name: "StorageTests", dependencies: ["Fixtures", "OpenSSL", "Postgres", "ShaCache", "Storage", "System"],
            swiftSettings: settings),
        .testTarget(
            name: "ServiceTests",
            dependencies: [
                "Configuration", "Fixtures", "Metrics", "OpenSSL", "Service", "ShaCache", "Storage", "System",
            ],
            swiftSettings: settings),
        .testTarget(name: "PagesTests", dependencies: ["Fixtures", "Pages"], swiftSettings: settings),
        .testTarget(name: "MetricsTests", dependencies: ["Fixtures", "Metrics"], swiftSettings: settings),
        .testTarget(name: "SystemTests", dependencies: ["Fixtures", "System"], swiftSettings: settings),
        .testTarget(name: "FastCGITests", dependencies: ["FastCGI", "Fixtures", "System"], swiftSettings: settings),
        .testTarget(name: "ArchivesTests", dependencies: ["Archives", "Fixtures"], swiftSettings: settings),
        .testTarget(name: "GzipTests", dependencies: ["Fixtures", "Gzip"], swiftSettings: settings),
        .testTarget(
            name: "AccessLogTests", dependencies: ["AccessLog", "Fixtures", "ShaCache", "Storage"],
            swiftSettings: settings),
        .testTarget(
            name: "ExchangeTests", dependencies: ["Exchange", "Fixtures", "ShaCache", "Storage", "System"],
            swiftSettings: settings),
        .testTarget(
            name: "ServingTests",
            dependencies: [
                "FastCGI", "Fixtures", "Serving", "ShaCache", "System", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "FetchingTests", dependencies: ["Fetching", "Fixtures", "ShaCache", "Storage"],
            swiftSettings: settings),
        .testTarget(name: "HTTPTests", dependencies: ["HTTP", "System"], swiftSettings: settings),
        .testTarget(
            name: "ClientTests", dependencies: ["Client", "Fixtures", "HTTP", "OpenSSL", "ShaCache"],
            exclude: ["options.py", "platforms.json"],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
