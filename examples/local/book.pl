# Keeps lines. "add TEXT" appends one, "list" gives all of them; one request per connection.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';

my $path = shift or die "usage: book.pl FILE\n";
my $server = IO::Socket::INET->new(LocalPort => 4000, Listen => 64, ReuseAddr => 1)
    or die "cannot listen: $@\n";

sub lines {
    open my $file, '<', $path or return ();
    return <$file>;
}

my @begun = lines();
printf "entries in the book: %d\n", scalar @begun;
while (1) {
    my $client = $server->accept or next;
    # Who says nothing does not keep others waiting.
    eval {
        local $SIG{ALRM} = sub { die "slow\n" };
        alarm 2;
        my $request = <$client> // '';
        if ($request =~ /^add (.{1,200})$/) {
            open my $file, '>>', $path or die "cannot write $path: $!\n";
            print $file "$1\n";
            close $file or die "cannot write $path: $!\n";
        }
        print $client lines();
        alarm 0;
    };
    alarm 0;
    print STDERR $@ if $@ && $@ ne "slow\n";
    close $client;
}
