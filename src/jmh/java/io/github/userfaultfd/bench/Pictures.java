// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Dimension;
import java.awt.geom.Rectangle2D;
import java.io.IOException;
import java.io.Writer;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.text.FieldPosition;
import java.text.NumberFormat;
import java.text.ParsePosition;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramIterationValue;
import org.apache.batik.svggen.SVGGraphics2D;
import org.jfree.chart.JFreeChart;
import org.jfree.chart.axis.LogAxis;
import org.jfree.chart.axis.NumberAxis;
import org.jfree.chart.axis.NumberTickUnit;
import org.jfree.chart.axis.ValueAxis;
import org.jfree.chart.plot.XYPlot;
import org.jfree.chart.renderer.xy.XYLineAndShapeRenderer;
import org.jfree.data.xy.XYSeries;
import org.jfree.data.xy.XYSeriesCollection;
import org.w3c.dom.Document;

/** The pictures of the documentation, SVG. They bring a white ground of their own, so that they can be read on a dark page too. */
final class Pictures {
    private static final int WIDTH = 800;
    private static final int HEIGHT = 460;
    /** Told apart by everyone, also without seeing red or green (Okabe and Ito). */
    private static final int[] COLORS = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000};

    private final Path directory;

    Pictures(Path directory) {
        this.directory = directory;
    }

    /** A share of all, by what is beyond it: 1000 is 99.9 %. */
    private static final class Share extends NumberFormat {
        private static final long serialVersionUID = 1L;

        @Override
        public StringBuffer format(double tail, StringBuffer to, FieldPosition position) {
            int nines = (int) Math.round(Math.log10(tail));
            return to.append(BigDecimal.valueOf(100).subtract(BigDecimal.valueOf(1, nines - 2)).toPlainString()).append(" %");
        }

        @Override
        public StringBuffer format(long tail, StringBuffer to, FieldPosition position) {
            return format((double) tail, to, position);
        }

        @Override
        public Number parse(String source, ParsePosition position) {
            throw new UnsupportedOperationException();
        }
    }

    private static LogAxis logarithmic(String label, int base, NumberFormat names) {
        LogAxis axis = new LogAxis(label);
        axis.setBase(base);
        axis.setNumberFormatOverride(names);
        axis.setTickUnit(new NumberTickUnit(1)); // of the exponent
        axis.setSmallestValue(1e-3);
        return axis;
    }

    private static NumberFormat plain() {
        return new DecimalFormat("0.###", DecimalFormatSymbols.getInstance(Locale.ROOT));
    }

    private String write(String name, String title, List<XYSeries> lines, ValueAxis x, ValueAxis y) throws IOException {
        XYSeriesCollection data = new XYSeriesCollection();
        lines.forEach(data::addSeries);
        XYLineAndShapeRenderer renderer = new XYLineAndShapeRenderer(true, false);
        for (int i = 0; i < lines.size(); i++) {
            renderer.setSeriesPaint(i, new Color(COLORS[i % COLORS.length]));
            renderer.setSeriesStroke(i, new BasicStroke(2));
        }
        renderer.setDrawSeriesLineAsPath(true);
        XYPlot plot = new XYPlot(data, x, y, renderer);
        plot.setBackgroundPaint(Color.WHITE);
        plot.setDomainGridlinePaint(Color.LIGHT_GRAY);
        plot.setRangeGridlinePaint(Color.LIGHT_GRAY);
        JFreeChart chart = new JFreeChart(title, plot);
        chart.setBackgroundPaint(Color.WHITE);
        SVGGraphics2D graphics = new SVGGraphics2D(emptySvg());
        graphics.setSVGCanvasSize(new Dimension(WIDTH, HEIGHT));
        chart.draw(graphics, new Rectangle2D.Double(0, 0, WIDTH, HEIGHT));
        Path file = directory.resolve(name + ".svg");
        try (Writer out = Files.newBufferedWriter(file)) {
            graphics.stream(out, true);
        }
        return file.getFileName().toString();
    }

    private static Document emptySvg() {
        try {
            return DocumentBuilderFactory.newInstance().newDocumentBuilder().getDOMImplementation()
                    .createDocument("http://www.w3.org/2000/svg", "svg", null);
        } catch (ParserConfigurationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** How long single faults of one page take, up to the rarest. */
    String latency(Latencies latencies) throws IOException {
        List<XYSeries> lines = new ArrayList<>();
        for (Engine engine : Engine.values()) {
            Histogram histogram = latencies.histograms().get(new Latencies.Kind(engine, Memory.ANONYMOUS, 1, 1));
            if (histogram != null) {
                lines.add(tail(engine.toString(), histogram));
            }
        }
        return write("performance-latency", "One fault of one page, anonymous memory, 1 thread", lines,
                logarithmic("share of the faults that took no longer", 10, new Share()), logarithmic("microseconds", 10, plain()));
    }

    private static XYSeries tail(String name, Histogram histogram) {
        XYSeries line = new XYSeries(name);
        for (HistogramIterationValue each : histogram.percentiles(8)) {
            double tail = 100 / (100 - each.getPercentileLevelIteratedTo());
            if (tail <= histogram.getTotalCount()) { // not of less than one fault
                line.add(tail, each.getValueIteratedTo() / 1e3);
            }
        }
        return line;
    }

    /** Sequential reading against how much is filled for a fault; what has no such number is a level line. */
    String throughput(Figures figures) throws IOException {
        List<Figures.Comparison> all = figures.comparisons().stream().filter(each -> each.section().equals("sequential")).toList();
        XYSeries lazily = new XYSeries("lazily");
        all.stream().filter(each -> each.x() > 0).forEach(each -> lazily.add(each.x(), Figures.median(each.values())));
        List<XYSeries> lines = new ArrayList<>(List.of(lazily));
        for (Figures.Comparison each : all) {
            if (each.x() == 0) {
                lines.add(level(each.name(), lazily, Figures.median(each.values())));
            }
        }
        lines.add(level(all.get(0).other(), lazily,
                Figures.median(all.stream().flatMap(each -> each.others().stream()).toList())));
        return write("performance-throughput", "Reading a file of the page cache from end to end", lines,
                logarithmic("KiB filled for one fault", 2, plain()), new NumberAxis("MB/s"));
    }

    private static XYSeries level(String name, XYSeries wide, double value) {
        XYSeries line = new XYSeries(name);
        line.add(wide.getMinX(), value);
        line.add(wide.getMaxX(), value);
        return line;
    }

    /** How long writers stand still for a snapshot, and for what they would do without: milliseconds by GiB. */
    String pauses(Map<String, SortedMap<Integer, Double>> pauses) throws IOException {
        List<XYSeries> lines = new ArrayList<>();
        pauses.forEach((name, times) -> {
            XYSeries line = new XYSeries(name);
            times.forEach(line::add);
            lines.add(line);
        });
        return write("snapshots-pause", "Longest pause of a writer when a first snapshot begins", lines, logarithmic("GiB", 2, plain()),
                logarithmic("milliseconds", 10, plain()));
    }
}
