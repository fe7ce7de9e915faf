# Answers every request with all pages and the sorted words, as they are at that moment.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';

my $greeting = 'Edit pages/, words/ or server/serve.pl and ask again.';
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 16, ReuseAddr => 1)
    or die "cannot listen: $@\n";

sub content {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file>;
}

while (my $client = $server->accept) {
    <$client>;
    my $text = join '', "$greeting\n", map({ content($_) } sort glob "$ENV{PAGES}/*"),
        content("$ENV{WORDS}/all");
    print $client "HTTP/1.0 200 OK\r\nContent-Length: ", length $text, "\r\n\r\n", $text;
    close $client;
}
