import Glibc
import Testing

@testable import Storage

struct FreeSpaceTests {
    private static let gibibyte = 1 << 30

    private func free(
        blocks: UInt, available: UInt, size: UInt = 4096, files: UInt = 1000, freeFiles: UInt = 1000
    ) -> LocalBlobs.Free {
        var status = statvfs()
        (status.f_blocks, status.f_bavail, status.f_frsize) = (blocks, available, size)
        (status.f_files, status.f_favail) = (files, freeFiles)
        return LocalBlobs.Free(status)
    }

    @Test func `a part of what a file system has is kept free`() {
        let free = free(blocks: 1 << 20, available: 20_000, files: 1000, freeFiles: 11)
        #expect(free.bytes == 20_000 * 4096 && free.totalBytes == 4 * Self.gibibyte)
        let most = free.bytes - free.totalBytes / 100
        #expect(free.hasRoom(for: most) && !free.hasRoom(for: most + 1))
        #expect(!self.free(blocks: 1 << 20, available: 1 << 20, freeFiles: 9).hasRoom(for: 0))
    }

    /// CephFS, and what FUSE passes on. Traps where LocalBlobs.Free converts without `clamping`, or multiplies plainly,
    /// and refuses without its `countsInodes`.
    @Test(arguments: [(0, 0), (1000, .max), (0, .max), (.max, .max)] as [(UInt, UInt)])
    func `inodes that nobody counts are no limit`(_ files: UInt, _ free: UInt) {
        let space = self.free(blocks: 1 << 20, available: 1 << 20, files: files, freeFiles: free)
        #expect(space.hasRoom(for: Self.gibibyte))
        #expect(space.totalInodes == (files == .max ? .max : 0))
    }

    /// Fails when no blocks at all are taken for a full file system.
    @Test(
        arguments: [(0, 0, 4096), (.max, .max, 1), (.max, .max, 1 << 22), (0, .max, 4096), (0, 0, 0)]
            as [(UInt, UInt, UInt)])
    func `room that nobody counts is no limit`(_ blocks: UInt, _ available: UInt, _ size: UInt) {
        let space = free(blocks: blocks, available: available, size: size)
        #expect(space.hasRoom(for: 1 << 60) && space.totalBytes >= 0 && space.reservedBytes <= Self.gibibyte)
    }
}
